-- id, revokes that were carried out ("<task> <token>") ... -> state (live, reaped, missing), revokes, and id, beat and name of every
-- other session that somebody may have to reap. No clock of Redis is looked at.
local id = ARGV[A]
local skey, all = session_key(id), P .. 'treadle:sessions'
local state = call('HGET', skey, 'state')
if not state then return {'missing', {}, {}} end
if state ~= 'live' then return {state, {}, {}} end
call('HINCRBY', skey, 'beat', 1)
call('SADD', all, id)
for at = A + 1, #ARGV do call('LREM', skey .. ':revoke', 0, ARGV[at]) end
local others = {}
for _, other in ipairs(call('SMEMBERS', all)) do
  if other ~= id then
    local beat, name = unpack(call('HMGET', session_key(other), 'beat', 'name'))
    if not beat and call('EXISTS', session_key(other) .. ':held') == 1 then beat = '0' end -- deleted, but not what it held
    if beat then
      others[#others + 1] = other
      others[#others + 1] = beat
      others[#others + 1] = name or ''
    else
      call('SREM', all, other)
    end
  end
end
return {state, call('LRANGE', skey .. ':revoke', 0, BATCH - 1), others}
