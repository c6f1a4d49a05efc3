-- id, token, worker ... -> counts. User code of these runs.
local running = 0
for at = A, #ARGV, 3 do
  local key = P .. ARGV[at]
  local f = call('HMGET', key, 'task_status', 'token')
  if f[1] == 'QUEUED' and f[2] == ARGV[at + 1] then
    call('HSET', key, 'task_status', 'RUNNING', 'started', now, 'worker', ARGV[at + 2])
    running = running + 1
  end
end
bump('running', running)
return counts()
