-- id, name, body_sha256, body is there already (1) or among the fields (0), fields ... -> OK, or NOBODY: the big body that was
-- written before has gone again. A known id is left as it is.
local id, name, digest, apart = ARGV[A], ARGV[A + 1], ARGV[A + 2], ARGV[A + 3] == '1'
local key = P .. id
if call('HEXISTS', key, 'name') == 1 then return 'OK' end
if apart and call('HEXISTS', key, 'function_body') == 0 then return 'NOBODY' end
local index = P .. 'treadle:body:' .. digest
call('HSET', key, 'name', name, 'body_sha256', digest, 'body_before', call('GET', index) or '', 'created', now, unpack(ARGV, A + 4))
if apart then call('PERSIST', key) end
local no = call('HINCRBY', META, 'function_seq', 1)
call('ZADD', P .. 'treadle:functions', no, id)
call('ZADD', P .. 'treadle:name:' .. name, no, id)
call('SET', index, id)
return 'OK'
