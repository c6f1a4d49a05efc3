-- session, beat seen -> ours (1/0), something is left (1/0), ended, counts. Marks the session reaped if its beat stood still
-- and gives back up to BATCH attempts; the same call again goes on, whoever began.
local id, beat = ARGV[A], ARGV[A + 1]
local skey = session_key(id)
local s = call('HMGET', skey, 'state', 'beat')
if (s[2] or '0') ~= beat or (not s[1] and call('EXISTS', skey .. ':held') == 0) then return {0, 0, {}, counts()} end
if s[1] == 'reaped' and call('SISMEMBER', P .. 'treadle:sessions', id) == 0 then return {0, 0, {}, counts()} end
local REMEMBERED_MS = 3600000 -- so long its owner learns that it was reaped
if s[1] ~= 'reaped' then tell('reaped') end
call('HSET', skey, 'state', 'reaped', 'beat', beat)
local page = call('HRANDFIELD', skey .. ':held', BATCH, 'WITHVALUES')
local lost, seen = {}, {}
for i = 1, #page, 2 do
  local t = load_held(page[i])
  seen[#seen + 1] = page[i]
  if t.task_status and not is_terminal(t.task_status) and t.token == page[i + 1] and t.session == id then
    lost[#lost + 1] = {page[i], t}
  end
end
-- The oldest goes back last, and so to the head of its line.
table.sort(lost, function(a, b)
  local x, y = tonumber(a[2].accepted) or 0, tonumber(b[2].accepted) or 0
  if x ~= y then return x > y end
  return a[1] > b[1]
end)
for _, one in ipairs(lost) do
  local t = one[2]
  local burnt = t.delivery == 'at_most_once' or t.task_status == 'RUNNING'
  local why = ''
  if burnt then
    why = 'WorkerLost worker=' .. (t.worker or '') .. ' attempt=' .. (t.attempt or '0') .. ': its dispatcher was silent'
  end
  give_back(one[1], t, burnt and 'lost' or 'unstarted', 0, why, {kind = 'WorkerLost', message = '', whole = {}, rest = {}})
end
settle()
if #seen > 0 then bump('held', -call('HDEL', skey .. ':held', unpack(seen))) end
local left = call('HLEN', skey .. ':held') > 0
if not left then
  call('DEL', skey .. ':revoke', skey .. ':workers')
  call('HDEL', skey, 'given')
  call('SREM', P .. 'treadle:sessions', id)
  call('PEXPIRE', skey, REMEMBERED_MS)
end
return {1, left and 1 or 0, ended, counts()}
