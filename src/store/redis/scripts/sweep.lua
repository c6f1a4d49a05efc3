-- score to begin above ('' = the oldest), schema, partitions -> schema and partitions found, where to go on ('' = at the
-- oldest again), ids dropped, ms until a delayed task is due, ended, counts. One step of housekeeping: due tasks, waits that are too
-- long, and names of tasks that have gone.
call('HSETNX', META, 'schema', ARGV[A + 1])
call('HSETNX', META, 'partitions', ARGV[A + 2])
wake_delayed()

local function expire(id)
  local f = call('HMGET', P .. id, 'task_status', 'token', 'expires', 'group', 'idempotency', 'args_bytes')
  if f[1] == 'QUEUED' and (not f[2] or f[2] == '') and f[3] and tonumber(f[3]) <= now then
    no_longer_queued({args_bytes = f[6]})
    call('ZREM', DELAYED, id)
    end_by_us(id, {group = f[4], idempotency = f[5]}, 'Expired', '', EXPIRED)
  end
  return f[1]
end

local due = call('ZRANGEBYSCORE', EXPIRING, '-inf', now, 'LIMIT', 0, BATCH)
for _, id in ipairs(due) do expire(id) end
if #due > 0 then call('ZREM', EXPIRING, unpack(due)) end

local from = ARGV[A] == '' and '-inf' or '(' .. ARGV[A]
local page = call('ZRANGEBYSCORE', TASKS, from, '+inf', 'WITHSCORES', 'LIMIT', 0, BATCH)
local dead = {}
for i = 1, #page, 2 do
  if not expire(page[i]) then dead[#dead + 1] = page[i] end
end
if #dead > 0 then call('ZREM', TASKS, unpack(dead)) end
settle()
local meta = call('HMGET', META, 'schema', 'partitions')
return {meta[1], meta[2], #page == 2 * BATCH and page[#page] or '', #dead, next_due(), ended, counts()}
