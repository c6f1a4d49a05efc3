-- ids that a hint named -> how many were entered. A foreign gateway wrote them; what has no `accepted` is entered once.
local entered, listed = 0, tonumber(call('HGET', META, 'listed')) or 0
local micros = clock[1] * 1000000 + clock[2]
for at = A, #ARGV do
  local id = ARGV[at]
  local f = call('HMGET', P .. id, 'task_status', 'token', 'accepted', 'queue', 'priority', 'seq')
  if f[1] == 'QUEUED' and (not f[2] or f[2] == '') and not f[3] then
    call('HSET', P .. id, 'accepted', now)
    bump('queued', 1)
    listed = math.max(micros, listed + 1)
    call('ZADD', TASKS, listed, id)
    call('HSET', META, 'listed', string.format('%.0f', listed))
    push(id, {queue = f[4], priority = f[5], seq = f[6]}, false)
    entered = entered + 1
  end
end
return entered
