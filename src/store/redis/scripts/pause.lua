-- queue, paused (1/0) -> OK. Whoever looks for work is told of a queue that is resumed.
local queue = ARGV[A]
if ARGV[A + 1] == '1' then
  call('HSETNX', PAUSED, queue, now)
elseif call('HDEL', PAUSED, queue) == 1 then
  for _, first in ipairs((heads(all_lines(queue, call('SMEMBERS', LABELLED))))) do call('PUBLISH', 'tasks', first) end
end
return 'OK'
