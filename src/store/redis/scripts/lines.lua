-- Where tasks wait: one list for each queue, and two sorted sets beside it for other priorities than 0. Tasks that ask for
-- labels have lines of their own, named "<queue>|<labels>"; LABELLED names those that may hold something.
local LABELLED = P .. 'treadle:lines'

-- The queue of a line.
local function name_of(line)
  local name = string.match(line or '', '^[^|]*')
  return name == '' and 'default' or name
end

local function line_of(queue)
  if not queue or queue == '' or queue == 'default' then return P .. 'task_queue' end
  return P .. 'treadle:q:' .. queue
end

-- The line of a task that joins it; lists of lines and queues have it from then on.
local known_lines = {}
local function joined(line)
  line = line or ''
  if not known_lines[line] then
    known_lines[line] = true
    if string.find(line, '|', 1, true) then call('SADD', LABELLED, line) end
    if name_of(line) ~= 'default' then call('SADD', QUEUES, name_of(line)) end
  end
  return line_of(line)
end

-- All lines of a queue, among those of LABELLED.
local function all_lines(name, labelled)
  local lines = {line_of(name)}
  for _, one in ipairs(labelled) do
    if name_of(one) == name then lines[#lines + 1] = line_of(one) end
  end
  return lines
end

-- The first task of each of these lines, whatever its priority, and how many there are.
local function heads(lines)
  local firsts, waiting = {}, 0
  for _, line in ipairs(lines) do
    waiting = waiting + call('LLEN', line) + call('ZCARD', line .. ':high') + call('ZCARD', line .. ':low')
    for _, first in ipairs({call('LRANGE', line, 0, 0), call('ZRANGE', line .. ':high', 0, 0), call('ZRANGE', line .. ':low', 0, 0)}) do
      firsts[#firsts + 1] = first[1]
    end
  end
  return firsts, waiting
end

local function add_ranked(line, id, priority, seq)
  call('ZADD', line .. (priority > 0 and ':high' or ':low'), -priority * 1099511627776 + (tonumber(seq) or 0), id)
end

-- Those that come back one by one still stand in the order in which they were accepted: behind the older ones at the head,
-- of which LOOK are looked at.
local LOOK = 32
local function push_back(line, id)
  local mine, older = tonumber(call('ZSCORE', TASKS, id) or ''), 0
  if mine then
    for _, other in ipairs(call('LRANGE', line, 0, LOOK - 1)) do
      local score = tonumber(call('ZSCORE', TASKS, other) or '')
      if not score or score > mine then break end
      older = older + 1
    end
  end
  local ahead = older > 0 and call('LPOP', line, older) or {}
  call('LPUSH', line, id)
  for i = #ahead, 1, -1 do call('LPUSH', line, ahead[i]) end
end

-- t: named fields of the task. To the head when it came back, to the tail when it is new there.
local function push(id, t, to_head)
  local line, priority = joined(t.queue), tonumber(t.priority) or 0
  if priority ~= 0 then
    add_ranked(line, id, priority, t.seq)
  elseif to_head then
    push_back(line, id)
  else
    call('RPUSH', line, id)
  end
end

-- Delayed tasks that are due join their lines.
local function wake_delayed()
  local ids = call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, BATCH)
  if #ids == 0 then return end
  for _, id in ipairs(ids) do
    local f = call('HMGET', P .. id, 'task_status', 'token', 'queue', 'priority', 'seq')
    if f[1] == 'QUEUED' and (not f[2] or f[2] == '') then
      push(id, {queue = f[3], priority = f[4], seq = f[5]}, false)
    end
  end
  call('ZREM', DELAYED, unpack(ids))
end

-- Milliseconds until the next delayed task is due; -1: there is none.
local function next_due()
  local first = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
  if #first == 0 then return -1 end
  return math.max(0, tonumber(first[2]) - now)
end
