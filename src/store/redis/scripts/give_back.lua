-- How an attempt goes back, and when it may not (requeue.lua, reap.lua). The same law as Ledger::give_back.
local GIVE_BACK = {'task_status', 'token', 'session', 'attempt', 'losses', 'kills', 'retries_used', 'max_attempts',
  'retries', 'delivery', 'cancel_requested', 'cancel_reason', 'queue', 'priority', 'seq', 'worker', 'group',
  'idempotency', 'args_bytes', 'last_error', 'suspect', 'accepted', 'not_before', 'expires', 'limit_key',
  'keep_ms'}

local function load_held(id)
  local values = call('HMGET', P .. id, unpack(GIVE_BACK))
  local t = {}
  for i, name in ipairs(GIVE_BACK) do
    if values[i] then t[name] = values[i] end
  end
  return t
end

-- What counts against it; returns the kind that it ends with, or nil.
local function verdict_of(t, why, given)
  local once = t.delivery == 'at_most_once'
  local limit = tonumber(t.max_attempts) or MAX_LOSSES
  if why == 'lost' then
    t.losses = t.losses + 1
    if once or t.losses >= limit then return 'WorkerLost' end
  elseif why == 'killed' then
    t.losses = t.losses + 1
    t.kills = t.kills + 1
    if t.kills >= MAX_KILLS then return 'PoisonTask' end
    if once or t.losses >= limit then return given end
  elseif why == 'suspect' then
    t.suspect = '1'
    if once then return given end
  elseif why == 'retry' then
    t.retries_used = t.retries_used + 1
    if once or t.retries_used > (tonumber(t.retries) or 0) then return given end
  end
end

local function go_back(id, t, delay, last_error)
  tell('requeued')
  local fields = {'task_status', 'QUEUED', 'token', '', 'session', ''}
  local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if t.losses > 0 then set('losses', t.losses) end
  if t.kills > 0 then set('kills', t.kills) end
  if t.retries_used > 0 then set('retries_used', t.retries_used) end
  if t.suspect then set('suspect', t.suspect) end
  if last_error ~= '' then set('last_error', last_error) end
  local due = now + delay + 1 -- `now` is cut to whole milliseconds: never early
  if delay > 0 then
    set('not_before', due)
  elseif t.not_before then
    set('not_before', '') -- of an earlier wait, that a dispatcher cut short by saying that it holds the task
  end
  call('HSET', P .. id, unpack(fields))
  bump('queued', 1)
  bump('queued_bytes', tonumber(t.args_bytes) or 0)
  if delay > 0 then
    call('ZADD', DELAYED, due, id)
  else
    push(id, t, true)
    call('PUBLISH', 'tasks', id)
  end
end

-- given: kind, message, `whole` (fields of the object and its texts, written if it ends with that very kind) and `rest`
-- (traceback, output, measures), both flat. Returns queued, failed or cancelled.
local function give_back(id, t, why, delay, last_error, given)
  t.losses, t.kills = tonumber(t.losses) or 0, tonumber(t.kills) or 0
  t.retries_used = tonumber(t.retries_used) or 0
  let_go(id, t)
  if t.cancel_requested then
    end_by_us(id, t, 'Cancelled', t.worker, t.cancel_reason or '')
    return 'cancelled'
  end
  local kind = verdict_of(t, why, given.kind)
  if not kind and t.expires and tonumber(t.expires) <= now + delay then
    -- Its next try would begin too late: after a failure what it raised is what it ends with.
    kind = why == 'retry' and given.kind or 'Expired'
  end
  if not kind then
    go_back(id, t, delay, last_error)
    return 'queued'
  end
  local fields = {'losses', t.losses, 'kills', t.kills, 'retries_used', t.retries_used}
  local first = t.last_error or ''
  if last_error ~= '' then
    fields[#fields + 1] = 'last_error'
    fields[#fields + 1] = last_error
  end
  for _, word in ipairs(given.rest) do fields[#fields + 1] = word end
  if kind == given.kind and #given.whole > 0 then
    for _, word in ipairs(given.whole) do fields[#fields + 1] = word end
    end_task(id, t, kind, '', unpack(fields))
    return 'failed'
  end
  local text = given.message ~= '' and given.message or last_error
  if kind == 'Expired' then text = EXPIRED end
  if kind == 'PoisonTask' then
    text = 'It killed its executor ' .. t.kills .. ' times; it will not be run again. First: ' .. first ..
      '. Last: ' .. text
  end
  end_by_us(id, t, kind, t.worker, text, unpack(fields))
  return 'failed'
end
