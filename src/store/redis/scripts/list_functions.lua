-- score to begin above, at most so many -> score of the last one looked at ('' = the end), rows.
local page = call('ZRANGEBYSCORE', P .. 'treadle:functions', '(' .. ARGV[A], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[A + 1])
local rows = {}
for i = 1, #page, 2 do
  local f = call('HMGET', P .. page[i], 'name', 'body_sha256', 'body_bytes', 'created')
  if f[1] then
    rows[#rows + 1] = {page[i], page[i + 1], f[1], f[2], f[3], f[4]}
  else
    call('ZREM', P .. 'treadle:functions', page[i])
  end
end
return {#page == 2 * tonumber(ARGV[A + 1]) and page[#page] or '', rows}
