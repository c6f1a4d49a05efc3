-- group, number of an end to begin above, most ends, bytes of base64 after which the page is full, names of fields ...
-- -> there are tasks of it (1/0), some have not ended (1/0), there is more (1/0), number to go on above, rows: number, id,
-- the fields. The text of a result is the last field. Names of tasks that have gone are dropped.
local group, from, most, room = group_key(ARGV[A]), ARGV[A + 1], tonumber(ARGV[A + 2]), tonumber(ARGV[A + 3])
local fields = {}
for i = A + 4, #ARGV do fields[#fields + 1] = ARGV[i] end
local rows, dead, last = {}, {}, from
local page = call('ZRANGEBYSCORE', group, '(' .. from, '(+inf', 'WITHSCORES', 'LIMIT', 0, most)
local looked, bytes = 0, 0
while looked < #page and bytes < room do
  local id, number = page[looked + 1], page[looked + 2]
  looked, last = looked + 2, number
  local f = call('HMGET', P .. id, unpack(fields))
  if f[1] then
    bytes = bytes + #(f[#fields] or '')
    rows[#rows + 1] = {number, id, unpack(f)}
  else
    dead[#dead + 1] = id
  end
end
-- What somebody deleted while it waited would keep the group open for ever.
local open = 0
for _, id in ipairs(call('ZRANGEBYSCORE', group, '+inf', '+inf', 'LIMIT', 0, BATCH)) do
  if call('EXISTS', P .. id) == 1 then
    open = 1
    break
  end
  dead[#dead + 1] = id
end
if #dead > 0 then call('ZREM', group, unpack(dead)) end
if #dead >= BATCH then open = 1 end -- look again
local more = (looked < #page or #page == 2 * most) and 1 or 0
return {(#rows > 0 or open == 1 or call('EXISTS', group) == 1) and 1 or 0, open, more, last, rows}
