-- Tasks that share a concurrency key. Those that are held stand in a set; one that finds its limit reached when its turn
-- comes is parked beside its line, in the group of those with the same line, limit and priority, so that it holds up nobody.
-- Each time one of the key is let go, or ends while it waits, the first of each group goes back to its line; more may be
-- woken than can be taken, and are parked again. What is parked and does not wait any more is passed over.
local function limit_key(key) return P .. 'treadle:limit:' .. key end
local function groups_key(key) return P .. 'treadle:parks:' .. key end
local function parked_key(key, group) return P .. 'treadle:parked:' .. key .. ' ' .. group end

local function hold_limit(id, key)
  if key then call('SADD', limit_key(key), id) end
end

-- Looks at one of those that are held: what somebody deleted gives its place free.
local function is_full(key, limit)
  local held = limit_key(key)
  if call('SCARD', held) < limit then return false end
  local one = call('SRANDMEMBER', held)
  local f = call('HMGET', P .. one, 'task_status', 'token')
  if f[1] and not is_terminal(f[1]) and f[2] and f[2] ~= '' then return true end
  call('SREM', held, one)
  return call('SCARD', held) >= limit
end

local function park(id, key, limit, queue, priority)
  local group = limit .. ' ' .. (priority or '0') .. ' ' .. (queue or '')
  call('ZADD', parked_key(key, group), call('ZSCORE', TASKS, id) or now * 1000, id)
  call('SADD', groups_key(key), group)
end

local function wake_one(key, group)
  while true do
    local first = call('ZPOPMIN', parked_key(key, group))
    if #first == 0 then
      call('SREM', groups_key(key), group)
      return
    end
    local id = first[1]
    local f = call('HMGET', P .. id, 'task_status', 'token', 'queue', 'priority', 'seq')
    if f[1] == 'QUEUED' and (not f[2] or f[2] == '') then
      push(id, {queue = f[3], priority = f[4], seq = f[5]}, true)
      call('PUBLISH', 'tasks', id)
      return
    end
  end
end

local function wake_parked(key)
  if not key then return end
  local held = call('SCARD', limit_key(key))
  for _, group in ipairs(call('SMEMBERS', groups_key(key))) do
    if held < tonumber(string.match(group, '^%d+')) then wake_one(key, group) end
  end
end

local function let_go_limit(id, key)
  if key and call('SREM', limit_key(key), id) == 1 then wake_parked(key) end
end
