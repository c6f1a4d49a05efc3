-- session, then id and token of attempts -> NOSESSION, or OK, one answer for each (adopted, refused), counts.
for at = A + 1, #ARGV, 2 do answers[#answers + 1] = adopt(to, ARGV[at], ARGV[at + 1]) end
bump('adopted', tally.adopted or 0)
answers[#answers + 1] = counts()
return answers
