-- session, then outcomes: id, token, kind ('' = completed), result is in a key of its own (1/0), n, n words of fields.
-- -> one answer for each (applied, duplicate, stale, missing, noblob), then the counts. The token alone fences.
local sid = ARGV[A]
local answers, gone = {}, {}

local function finish(at)
  local id, token, kind, apart, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1', tonumber(ARGV[at + 4])
  local key = P .. id
  local f = call('HMGET', key, 'task_status', 'token', 'session', 'cancel_requested', 'group', 'idempotency',
    'limit_key', 'keep_ms')
  if not f[1] then
    gone[#gone + 1] = id
    return 'missing'
  end
  if f[2] ~= token then return 'stale' end
  if is_terminal(f[1]) then return 'duplicate' end
  local blob = key .. ':result:' .. token
  if apart and call('EXISTS', blob) == 0 then return 'noblob' end
  local t = {task_status = f[1], token = f[2], session = f[3], cancel_requested = f[4], group = f[5], idempotency = f[6],
    limit_key = f[7], keep_ms = f[8]}
  let_go(id, t)
  end_task(id, t, kind, token, unpack(ARGV, at + 5, at + 4 + n))
  if apart then
    call('RENAME', blob, key .. ':result')
    local keep = kept_for(t, kind)
    if keep > 0 then call('PEXPIRE', key .. ':result', keep) else call('PERSIST', key .. ':result') end
  end
  return 'applied'
end

local at = A + 1
while ARGV[at] do
  local answer = finish(at)
  if answer == 'stale' or answer == 'duplicate' then tell(answer) end
  answers[#answers + 1] = answer
  at = at + 5 + tonumber(ARGV[at + 4])
end
if #gone > 0 then bump('held', -call('HDEL', session_key(sid) .. ':held', unpack(gone))) end
settle()
answers[#answers + 1] = counts()
return answers
