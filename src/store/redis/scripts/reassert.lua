-- session, then id, token and number of attempts -> NOSESSION, or OK, one answer for each (adopted, refused), counts.
-- What waits unclaimed gets attempt, token and owner back. Its line keeps naming it; a claim passes over that.
local function reassert(id, token, number)
  local key = P .. id
  local f = call('HMGET', key, 'task_status', 'token', 'attempt', 'queue', 'priority', 'args_bytes', 'accepted',
    'limit_key')
  if f[1] ~= 'QUEUED' or (f[2] and f[2] ~= '') then return adopt(to, id, token) end
  local attempt = tonumber(f[3]) or 0
  attempt = number > attempt and number or (number == attempt and number > 0 and number or attempt + 1)
  call('HSET', key, 'token', token, 'session', to, 'attempt', attempt, 'claimed', now)
  call('ZREM', DELAYED, id)
  if f[8] then hold_limit(id, f[8]) end
  local priority = tonumber(f[5]) or 0
  if priority ~= 0 then call('ZREM', line_of(f[4]) .. (priority > 0 and ':high' or ':low'), id) end
  bump('held', call('HSET', session_key(to) .. ':held', id, token))
  if f[7] then
    bump('queued', -1)
    bump('queued_bytes', -(tonumber(f[6]) or 0))
  end
  return 'adopted'
end
for at = A + 1, #ARGV, 3 do
  answers[#answers + 1] = reassert(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]))
end
answers[#answers + 1] = counts()
return answers
