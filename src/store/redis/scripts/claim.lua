-- session, number of the call, worker, n, n tokens, '|' with the labels of the workers if they have some, queues ...
-- -> NOSESSION, or OK, more (1/0), ms until a delayed task is due, ended, attempts, counts. The same number again gives what
-- is still held of what it gave, and takes nothing.
local sid, number, worker, n = ARGV[A], tonumber(ARGV[A + 1]), ARGV[A + 2], tonumber(ARGV[A + 3])
local INLINE, POPS = 360448, 1024 -- base64 of the largest payload that a script touches; ids that one call may pop
local skey = session_key(sid)
local FIELDS = {'task_status', 'token', 'session', 'attempt', 'expires', 'not_before', 'accepted', 'group',
  'idempotency', 'args_bytes', 'function_id', 'body_sha256', 'args_facts', 'delivery', 'isolation', 'suspect',
  'retries', 'retries_used', 'retry_delay_ms', 'time_limit_ms', 'memory_limit', 'more', 'limit_key', 'limit', 'queue',
  'priority', 'keep_ms'}
local attempts, given, held = {}, {}, {}

-- Its arguments, unless they are big: then the caller reads them on another connection.
local function args_of(key, size)
  if not size then size = call('HSTRLEN', key, 'function_args') end
  if tonumber(size) <= INLINE then return call('HGET', key, 'function_args') end
  return false
end

local function answer(key, f, id, token, attempt)
  attempts[#attempts + 1] = {id, token, attempt, args_of(key, f[10]), f[11], f[12], f[13], f[14], f[15], f[16], f[17],
    f[18], f[19], f[20], f[21], f[22], f[5] and math.max(1, tonumber(f[5]) - now) or 0}
end

local function replay(text)
  for id, token in string.gmatch(text or '', '(%S+) (%S+)') do
    local f = call('HMGET', P .. id, unpack(FIELDS))
    if f[1] and not is_terminal(f[1]) and f[2] == token and f[3] == sid then
      answer(P .. id, f, id, token, tonumber(f[4]))
    end
  end
end

local queued, queued_bytes = 0, 0

local function no_longer(f)
  if not f[7] then return end -- a foreign gateway wrote it: it was not counted
  queued, queued_bytes = queued + 1, queued_bytes + (tonumber(f[10]) or 0)
end

local function take(id)
  local key = P .. id
  local f = call('HMGET', key, unpack(FIELDS))
  if f[1] ~= 'QUEUED' then
    if not f[1] then queued = queued + 1 end -- deleted by somebody
    return
  end
  if (f[2] and f[2] ~= '') or (tonumber(f[6]) or 0) > now then return end -- its line names it twice
  if f[5] and tonumber(f[5]) <= now then
    no_longer(f)
    end_by_us(id, {group = f[8], idempotency = f[9], keep_ms = f[27]}, 'Expired', '', EXPIRED)
    wake_parked(f[23])
    return
  end
  if f[23] and is_full(f[23], tonumber(f[24]) or 1) then
    park(id, f[23], tonumber(f[24]) or 1, f[25], f[26])
    return
  end
  hold_limit(id, f[23])
  no_longer(f)
  local token, attempt = ARGV[A + 4 + #attempts], (tonumber(f[4]) or 0) + 1
  if f[7] then
    call('HSET', key, 'token', token, 'session', sid, 'attempt', attempt, 'claimed', now, 'worker', worker)
  else
    call('HSET', key, 'token', token, 'session', sid, 'attempt', attempt, 'claimed', now, 'worker', worker, 'accepted', now)
  end
  given[#given + 1] = id .. ' ' .. token
  held[#held + 1] = id
  held[#held + 1] = token
  answer(key, f, id, token, attempt)
end

local pops = 0
local function pop(line, ranked)
  while #attempts < n and pops < POPS do
    local want = math.min(n - #attempts, BATCH)
    local ids = ranked and call('ZPOPMIN', line, want) or call('LPOP', line, want)
    if not ids or #ids == 0 then return end
    for i = 1, #ids, ranked and 2 or 1 do take(ids[i]) end
    pops = pops + (ranked and #ids / 2 or #ids)
  end
end

local function is_left(line)
  return call('LLEN', line) > 0 or call('ZCARD', line .. ':high') > 0 or call('ZCARD', line .. ':low') > 0
end

local labels, queues = {}, {}
for i = A + 4 + n, #ARGV do
  if string.sub(ARGV[i], 1, 1) == '|' then
    for label in string.gmatch(string.sub(ARGV[i], 2), '%S+') do labels[label] = true end
  else
    queues[#queues + 1] = ARGV[i]
  end
end
if #queues == 0 then queues[1] = '' end

-- The lines of a queue that these workers may take from: those that ask for labels first, since fewer can take from them.
local function lines_of(queue)
  local lines, name = {}, queue == '' and 'default' or queue
  for _, one in ipairs(call('SMEMBERS', LABELLED)) do
    local bar = string.find(one, '|', 1, true)
    local fits = string.sub(one, 1, bar - 1) == name
    for label in string.gmatch(string.sub(one, bar + 1), '%S+') do fits = fits and labels[label] end
    if fits and is_left(line_of(one)) then
      lines[#lines + 1] = line_of(one)
    elseif fits then
      call('SREM', LABELLED, one)
    end
  end
  table.sort(lines)
  lines[#lines + 1] = line_of(queue)
  return lines
end

-- Corrects what deleted tasks left in the counters.
local function mend()
  local m = call('HMGET', META, 'queued', 'queued_bytes')
  if (tonumber(m[1]) or 0) < 0 then call('HSET', META, 'queued', 0) end
  if (tonumber(m[1]) or 0) <= 0 or (tonumber(m[2]) or 0) < 0 then call('HSET', META, 'queued_bytes', 0) end
end

local s = call('HMGET', skey, 'state', 'call', 'given', 'more')
if s[1] ~= 'live' then return {'NOSESSION'} end
local last = tonumber(s[2]) or 0
if number <= last then
  if number == last then replay(s[3]) end
  return {'OK', number == last and s[4] or '0', next_due(), {}, attempts, counts()}
end
wake_delayed()
local more = '0'
for _, queue in ipairs(queues) do
  local lines = call('HEXISTS', PAUSED, name_of(queue)) == 1 and {} or lines_of(queue)
  if n > 0 then
    for _, line in ipairs(lines) do pop(line .. ':high', true) end
    for _, line in ipairs(lines) do pop(line, false) end
    for _, line in ipairs(lines) do pop(line .. ':low', true) end
  end
  for _, line in ipairs(lines) do
    if is_left(line) then more = '1' end
  end
end
call('HSET', skey, 'call', number, 'given', table.concat(given, ' '), 'more', more)
if #held > 0 then
  call('HSET', skey .. ':held', unpack(held))
  bump('held', #given)
end
if queued > 0 then
  bump('queued', -queued)
  bump('queued_bytes', -queued_bytes)
  mend()
end
settle()
return {'OK', more, next_due(), ended, attempts, counts()}
