-- id, result, its facts, its bytes ... The objects of tasks that scripts ended (endings.lua).
for at = A, #ARGV, 4 do
  local f = call('HMGET', P .. ARGV[at], 'task_status', 'task_result')
  if f[1] == 'FAILED' and f[2] == '' then
    call('HSET', P .. ARGV[at], 'task_result', ARGV[at + 1], 'result_facts', ARGV[at + 2], 'result_bytes', ARGV[at + 3])
  end
end
return 'OK'
