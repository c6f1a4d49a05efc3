-- name ('' = all, oldest first; else those of this name, newest first), score to begin beyond ('' = at the first), at
-- most so many -> score of the last one looked at ('' = the end), rows.
local name, from, most = ARGV[A], ARGV[A + 1], ARGV[A + 2]
local key, page
if name == '' then
  key = P .. 'treadle:functions'
  page = call('ZRANGEBYSCORE', key, from == '' and '-inf' or '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
else
  key = P .. 'treadle:name:' .. name
  page = call('ZREVRANGEBYSCORE', key, from == '' and '+inf' or '(' .. from, '-inf', 'WITHSCORES', 'LIMIT', 0, most)
end
local rows = {}
for i = 1, #page, 2 do
  local f = call('HMGET', P .. page[i], 'name', 'body_sha256', 'body_bytes', 'created')
  if f[1] then
    rows[#rows + 1] = {page[i], page[i + 1], f[1], f[2], f[3], f[4]}
  else
    call('ZREM', key, page[i])
  end
end
return {#page == 2 * tonumber(most) and page[#page] or '', rows}
