-- What every script begins with. ARGV: prefix of all keys, how long completed and failed tasks are kept (ms, 0 = for
-- ever), losses and kills that a task survives; a script's own arguments begin at ARGV[A].
local call = redis.call
local P, KEEP_COMPLETED, KEEP_FAILED = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local MAX_LOSSES, MAX_KILLS = tonumber(ARGV[4]), tonumber(ARGV[5])
local A = 6
local BATCH = 128
local META, DELAYED, TASKS = P .. 'treadle:meta', P .. 'treadle:delayed', P .. 'treadle:tasks'
local EXPIRING = P .. 'treadle:expiring'
local QUEUES, PAUSED = P .. 'treadle:queues', P .. 'treadle:paused'
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function bump(field, n)
  if n ~= 0 then call('HINCRBY', META, field, n) end
end

-- What happened in this call, for the totals of the whole service; settle() writes them.
local tally = {}
local function tell(what) tally[what] = (tally[what] or 0) + 1 end

-- Now: queued, bytes of their arguments, held, running; ever: submitted ... reaped; last, now: delayed. The end of every
-- answer of a script that changes them.
local function counts()
  local m = call('HMGET', META, 'queued', 'queued_bytes', 'held', 'running', 'submitted', 'completed', 'failed', 'stale',
    'duplicate', 'requeued', 'adopted', 'reaped')
  for i = 1, 12 do m[i] = m[i] or '0' end
  m[13] = call('ZCARD', DELAYED)
  return m
end

local function is_terminal(status) return status == 'COMPLETED' or status == 'FAILED' end
local function group_key(name) return P .. 'treadle:group:' .. name end
-- The names of a group's tasks stay as long as its tasks, of which one is here for `ms` before it ends.
local function keep_group(name, ms)
  local group = group_key(name)
  if KEEP_COMPLETED == 0 or KEEP_FAILED == 0 then
    call('PERSIST', group)
    return
  end
  ms = ms + math.max(KEEP_COMPLETED, KEEP_FAILED)
  if call('PTTL', group) < ms then call('PEXPIRE', group, ms) end
end
local function session_key(id) return P .. 'treadle:session:' .. id end
