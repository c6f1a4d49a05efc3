-- max queued, max bytes, then items: id, function id, bytes of arguments, tasks and bytes that the whole call brings (''
-- when the item belongs to the one before, 0 when it begins another piece of a call that was let in), queue, priority, delay ms, ms until it may begin no more, that is its own (1/0), hash of the
-- idempotency key ('' = none), digest of the call, arguments are there already (1/0), n, n words of fields.
-- -> one answer for each item (OK, SAME, DUP<id>, CLASH<id>, NOFN, NOARGS, FULLTASKS, FULLBYTES), then the counts.
local max_queued, max_bytes = tonumber(ARGV[A]), tonumber(ARGV[A + 1])
local m = call('HMGET', META, 'queued', 'queued_bytes', 'listed')
local queued, bytes, listed = tonumber(m[1]) or 0, tonumber(m[2]) or 0, tonumber(m[3]) or 0
local micros = clock[1] * 1000000 + clock[2]
local functions, ready, list = {}, {}, {}
local groups = {} -- that tasks were taken for: their ids, and how long they may wait at most
local refused, queued_before, bytes_before = nil, queued, bytes
local answers = {}

local function admit(at)
  if ARGV[at] == '' then return end
  refused = nil
  if ARGV[at] == '0' then return end
  if queued + tonumber(ARGV[at]) > max_queued then
    refused = 'FULLTASKS'
  elseif bytes + tonumber(ARGV[at + 1]) > max_bytes then
    refused = 'FULLBYTES'
  end
end

local function has_function(id)
  local known = functions[id]
  if known == nil then
    local f = call('HMGET', P .. id, 'name', 'body_sha256', 'deleted')
    known = f[1] and not f[3] and {f[2]}
    functions[id] = known
  end
  return known
end

-- The answer of a key that is known, or nil. A key whose task has gone counts as absent.
local function known_key(hash, digest)
  local first = call('HMGET', P .. 'treadle:idem:' .. hash, 'task', 'body')
  if not first[1] or call('HEXISTS', P .. first[1], 'task_status') == 0 then return nil end
  return (first[2] == digest and 'DUP' or 'CLASH') .. first[1]
end

local function line_up(id, at, seq)
  local queue, priority, delay = ARGV[at + 5], tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  if delay > 0 then
    call('ZADD', DELAYED, now + delay + 1, id) -- `now` is cut to whole milliseconds: never early
    return
  end
  local line = joined(queue)
  if priority ~= 0 then
    add_ranked(line, id, priority, seq)
  else
    local ids = ready[line]
    if not ids then
      ids = {}
      ready[line] = ids
    end
    ids[#ids + 1] = id
  end
end

local function join(name, id, ms)
  local group = groups[name]
  if not group then
    group = {members = {}, ms = 0}
    groups[name] = group
  end
  group.members[#group.members + 1] = '+inf' -- it has no end yet
  group.members[#group.members + 1] = id
  group.ms = math.max(group.ms, ms)
end

local function accept(id, known, at, size)
  local delay, expires = tonumber(ARGV[at + 7]), now + tonumber(ARGV[at + 8])
  local fields = {'task_id', id, 'function_id', ARGV[at + 1], 'task_status', 'QUEUED', 'task_result', '',
    'accepted', now, 'expires', expires, 'args_bytes', ARGV[at + 2]}
  local n = #fields
  local function set(name, value)
    fields[n + 1], fields[n + 2] = name, value
    n = n + 2
  end
  if known[1] then set('body_sha256', known[1]) end
  if ARGV[at + 5] ~= '' then set('queue', ARGV[at + 5]) end
  local seq
  if ARGV[at + 6] ~= '0' then
    seq = call('INCR', P .. 'treadle:seq')
    set('priority', ARGV[at + 6])
    set('seq', seq)
  end
  if delay > 0 then set('not_before', now + delay) end
  if ARGV[at + 10] ~= '' then
    set('idempotency', ARGV[at + 10])
    call('HSET', P .. 'treadle:idem:' .. ARGV[at + 10], 'task', id, 'body', ARGV[at + 11])
  end
  for i = at + 14, at + 13 + tonumber(ARGV[at + 13]), 2 do
    set(ARGV[i], ARGV[i + 1])
    if ARGV[i] == 'group' then join(ARGV[i + 1], id, tonumber(ARGV[at + 8])) end
  end
  call('HSET', P .. id, unpack(fields))
  if ARGV[at + 12] == '1' then call('PERSIST', P .. id) end
  if ARGV[at + 9] == '1' then call('ZADD', EXPIRING, expires, id) end
  listed = math.max(micros, listed + 1)
  list[#list + 1] = listed
  list[#list + 1] = id
  queued, bytes = queued + 1, bytes + size
  line_up(id, at, seq)
end

local function take(at)
  local id, hash = ARGV[at], ARGV[at + 10]
  admit(at + 3)
  if refused then return refused end
  local known = has_function(ARGV[at + 1])
  if not known then return 'NOFN' end
  if call('HEXISTS', P .. id, 'task_status') == 1 then return 'SAME' end
  if hash ~= '' then
    local answer = known_key(hash, ARGV[at + 11])
    if answer then return answer end
  end
  if ARGV[at + 12] == '1' and call('HEXISTS', P .. id, 'function_args') == 0 then return 'NOARGS' end
  accept(id, known, at, tonumber(ARGV[at + 2]))
  return 'OK'
end

local at = A + 2
while ARGV[at] do
  answers[#answers + 1] = take(at)
  at = at + 14 + tonumber(ARGV[at + 13])
end
for line, ids in pairs(ready) do call('RPUSH', line, unpack(ids)) end
for name, group in pairs(groups) do
  call('ZADD', group_key(name), unpack(group.members))
  keep_group(name, group.ms)
end
if #list > 0 then
  call('ZADD', TASKS, unpack(list))
  call('HSET', META, 'listed', string.format('%.0f', listed))
  bump('queued', queued - queued_before)
  bump('queued_bytes', bytes - bytes_before)
  bump('submitted', #list / 2)
  for i = 2, #list, 2 do call('PUBLISH', 'tasks', list[i]) end
end
answers[#answers + 1] = counts()
return answers
