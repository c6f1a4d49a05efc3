-- score to begin below ('' = newest) -> where to go on ('' = nowhere), and rows of up to BATCH tasks, newest first.
local from = ARGV[A] == '' and '+inf' or '(' .. ARGV[A]
local page = call('ZREVRANGEBYSCORE', TASKS, from, '-inf', 'WITHSCORES', 'LIMIT', 0, BATCH)
local rows = {}
for i = 1, #page, 2 do
  local f = call('HMGET', P .. page[i], 'task_status', 'token', 'function_id', 'group', 'attempt', 'error_kind', 'queue')
  if f[1] then rows[#rows + 1] = {page[i], page[i + 1], f[1], f[2], f[3], f[4], f[5], f[6], f[7]} end
end
return {#page == 2 * BATCH and page[#page] or '', rows}
