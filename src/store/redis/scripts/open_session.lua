-- id, name -> live, or reaped: a session of this id has ended and does not come back.
local skey = session_key(ARGV[A])
if call('HGET', skey, 'state') == 'reaped' then return 'reaped' end
call('HSETNX', skey, 'beat', 1)
call('HSET', skey, 'state', 'live', 'name', ARGV[A + 1])
call('SADD', P .. 'treadle:sessions', ARGV[A])
return 'live'
