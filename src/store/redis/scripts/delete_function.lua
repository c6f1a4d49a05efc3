-- id -> OK, GONE (it was deleted before) or NONE. Its hash stays: tasks that were accepted need the body. sweep.lua reclaims
-- that when none needs it any more.
local id = ARGV[A]
local f = call('HMGET', P .. id, 'name', 'deleted')
if not f[1] then return 'NONE' end
if f[2] then return 'GONE' end
call('HSET', P .. id, 'deleted', now)
call('SADD', P .. 'treadle:deleted', id)
call('ZREM', P .. 'treadle:functions', id)
call('ZREM', P .. 'treadle:name:' .. f[1], id)
return 'OK'
