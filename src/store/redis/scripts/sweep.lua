-- score to begin above ('' = the oldest), schema, partitions, whose round it is -> schema and partitions found, where to go on ('' = at the
-- oldest again), ids dropped, ms until a delayed task is due, ended, counts. One step of housekeeping: due tasks, waits that are too
-- long, and names of tasks that have gone.
call('HSETNX', META, 'schema', ARGV[A + 1])
call('HSETNX', META, 'partitions', ARGV[A + 2])
wake_delayed()

local function expire(id)
  local f = call('HMGET', P .. id, 'task_status', 'token', 'expires', 'group', 'idempotency', 'args_bytes',
    'limit_key', 'keep_ms', 'function_id')
  if f[1] == 'QUEUED' and (not f[2] or f[2] == '') and f[3] and tonumber(f[3]) <= now then
    no_longer_queued({args_bytes = f[6]})
    call('ZREM', DELAYED, id)
    end_by_us(id, {group = f[4], idempotency = f[5], keep_ms = f[8]}, 'Expired', '', EXPIRED)
    wake_parked(f[7])
  end
  return f[1], f[9]
end

-- Takes a deleted function out of the index of its body: an older one with the same body takes its place. False: it cannot be
-- known whether there is one, so that the body must stay.
local OLDER = 1000 -- functions of the same body that are looked at
local function leave_index(id)
  local index = P .. 'treadle:body:' .. (call('HGET', P .. id, 'body_sha256') or '')
  if call('GET', index) ~= id then return true end
  for _ = 1, OLDER do
    id = call('HGET', P .. id, 'body_before')
    if not id then return false end
    if id == '' then
      call('DEL', index)
      return true
    end
    if call('HEXISTS', P .. id, 'function_body') == 1 then
      call('SET', index, id)
      return true
    end
  end
  return false
end

-- Functions that were deleted before this round of pages began, less those that a task needs: at its end their bodies go.
local DELETED, LEAVING = P .. 'treadle:deleted', P .. 'treadle:leaving:' .. ARGV[A + 3]
local ROUND_MS = 86400000 -- a round that takes longer, or is not ended, is forgotten
if ARGV[A] == '' then
  call('DEL', LEAVING)
  if call('EXISTS', DELETED) == 1 then
    call('SUNIONSTORE', LEAVING, DELETED)
    call('PEXPIRE', LEAVING, ROUND_MS)
  end
end
local some_leave = call('EXISTS', LEAVING) == 1

local due = call('ZRANGEBYSCORE', EXPIRING, '-inf', now, 'LIMIT', 0, BATCH)
for _, id in ipairs(due) do expire(id) end
if #due > 0 then call('ZREM', EXPIRING, unpack(due)) end

local from = ARGV[A] == '' and '-inf' or '(' .. ARGV[A]
local page = call('ZRANGEBYSCORE', TASKS, from, '+inf', 'WITHSCORES', 'LIMIT', 0, BATCH)
local dead = {}
for i = 1, #page, 2 do
  local status, needs = expire(page[i])
  if not status then dead[#dead + 1] = page[i] end
  if some_leave and needs and not is_terminal(status) then call('SREM', LEAVING, needs) end
end
if some_leave and #page < 2 * BATCH then
  for _, id in ipairs(call('SPOP', LEAVING, BATCH)) do
    if leave_index(id) then call('HDEL', P .. id, 'function_body') end
    call('SREM', DELETED, id)
  end
end
if #dead > 0 then call('ZREM', TASKS, unpack(dead)) end
settle()
local meta = call('HMGET', META, 'schema', 'partitions')
return {meta[1], meta[2], #page == 2 * BATCH and page[#page] or '', #dead, next_due(), ended, counts()}
