-- How a task becomes terminal, once. ended: what ended by a script's own decision and lacks the object that clients
-- decode (id, kind, worker, message ...): the caller writes it with fill.lua, and readers make it until then.
local ended, published, dropped, groups = {}, {}, {}, {}

-- Nobody holds it any more. The session's hash is changed once for all, by settle().
local function let_go(id, t)
  let_go_limit(id, t.limit_key)
  if not t.session or t.session == '' then return end
  local list = dropped[t.session]
  if not list then
    list = {}
    dropped[t.session] = list
  end
  list[#list + 1] = id
  if t.cancel_requested then call('LREM', session_key(t.session) .. ':revoke', 0, id .. ' ' .. t.token) end
  if t.task_status == 'RUNNING' then bump('running', -1) end
end

-- Milliseconds from its end until it goes; 0: never.
local function kept_for(t, kind)
  return tonumber(t.keep_ms) or (kind == '' and KEEP_COMPLETED or KEEP_FAILED)
end

-- t: task_status, group, idempotency, keep_ms. `kind` is '' for COMPLETED. More pairs of fields may follow.
local function end_task(id, t, kind, token, ...)
  local key = P .. id
  local seq = call('HINCRBY', META, 'finish_seq', 1)
  local keep = kept_for(t, kind)
  tell(kind == '' and 'completed' or 'failed')
  if kind == '' then
    call('HSET', key, 'task_status', 'COMPLETED', 'token', token, 'finished', now, 'finish_seq', seq, 'function_args', '', ...)
  else
    call('HSET', key, 'task_status', 'FAILED', 'token', token, 'finished', now, 'finish_seq', seq, 'error_kind', kind, ...)
  end
  if keep > 0 then
    call('PEXPIRE', key, keep)
    if t.idempotency then call('PEXPIRE', P .. 'treadle:idem:' .. t.idempotency, keep) end
  end
  if t.group then
    call('ZADD', group_key(t.group), seq, id)
    groups[t.group] = math.max(groups[t.group] or 0, keep)
  end
  published[#published + 1] = id
end

-- Ends it with a kind of ours, without an object.
local function end_by_us(id, t, kind, worker, message, ...)
  end_task(id, t, kind, '', 'error_type', kind, 'error_message', message, 'task_result', '', ...)
  for _, word in ipairs({id, kind, worker or '', message}) do ended[#ended + 1] = word end
end

local function no_longer_queued(t)
  bump('queued', -1)
  bump('queued_bytes', -(tonumber(t.args_bytes) or 0))
end

local EXPIRED = 'It had not begun when its time to wait was over (deadline, expires_in or queue_ttl).'

-- Names of tasks whose time is over are dropped from the older end of their group, about as fast as it grows.
local function trim_group(group)
  local first = call('ZRANGE', group, 0, 0)[1]
  if not first or call('EXISTS', P .. first) == 1 then return end
  local old, dead = call('ZRANGE', group, 0, BATCH - 1), 0
  while dead < #old and call('EXISTS', P .. old[dead + 1]) == 0 do dead = dead + 1 end
  if dead > 0 then call('ZREM', group, unpack(old, 1, dead)) end
end

-- What the endings of one call have in common; last.
local function settle()
  for name, keep in pairs(groups) do
    keep_group(name, keep)
    trim_group(group_key(name))
  end
  for what, n in pairs(tally) do bump(what, n) end
  for session, ids in pairs(dropped) do
    bump('held', -call('HDEL', session_key(session) .. ':held', unpack(ids)))
  end
  if #published > 0 then call('PUBLISH', 'treadle:done', table.concat(published, ' ')) end
end
