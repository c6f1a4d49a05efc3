-- adopt.lua, reassert.lua: the attempt of this token gets this session as its owner, wherever it was.
local function adopt(to, id, token)
  local key = P .. id
  local f = call('HMGET', key, 'task_status', 'token', 'session', 'cancel_requested')
  if not f[1] or is_terminal(f[1]) or f[2] ~= token then return 'refused' end
  if f[3] == to then return 'adopted' end
  local text = id .. ' ' .. token
  if f[3] and f[3] ~= '' then
    bump('held', -call('HDEL', session_key(f[3]) .. ':held', id))
    if f[4] then call('LREM', session_key(f[3]) .. ':revoke', 0, text) end
  end
  tell('adopted')
  call('HSET', key, 'session', to)
  bump('held', call('HSET', session_key(to) .. ':held', id, token))
  if f[4] then call('RPUSH', session_key(to) .. ':revoke', text) end
  return 'adopted'
end
local to = ARGV[A]
if call('HGET', session_key(to), 'state') ~= 'live' then return {'NOSESSION'} end
local answers = {'OK'}
