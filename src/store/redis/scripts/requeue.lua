-- session, then attempts: id, token, why (unstarted, lost, killed, suspect, retry), delay ms, last error, kind and message
-- of the failure, n words of the whole object, m words of the rest, those words.
-- -> one answer for each (queued, failed, cancelled, stale, missing), ended, counts. Token and session fence.
local sid = ARGV[A]
local answers, gone = {}, {}

local function requeue(at, n, m)
  local id = ARGV[at]
  local t = load_held(id)
  if not t.task_status then
    gone[#gone + 1] = id
    return 'missing'
  end
  if is_terminal(t.task_status) or t.token ~= ARGV[at + 1] or t.session ~= sid then return 'stale' end
  local given = {kind = ARGV[at + 5], message = ARGV[at + 6], whole = {}, rest = {}}
  for i = at + 9, at + 8 + n do given.whole[#given.whole + 1] = ARGV[i] end
  for i = at + 9 + n, at + 8 + n + m do given.rest[#given.rest + 1] = ARGV[i] end
  return give_back(id, t, ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4], given)
end

local at = A + 1
while ARGV[at] do
  local n, m = tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8])
  answers[#answers + 1] = requeue(at, n, m)
  at = at + 9 + n + m
end
if #gone > 0 then bump('held', -call('HDEL', session_key(sid) .. ':held', unpack(gone))) end
settle()
answers[#answers + 1] = ended
answers[#answers + 1] = counts()
return answers
