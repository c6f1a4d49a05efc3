-- most names -> rows: name, how many wait, when the oldest of them was accepted (ms, 0 = none waits), paused (1/0). Names that
-- nobody waits in or has paused are dropped; what comes back to its line names it again.
local most = tonumber(ARGV[A])
local names, known, rows, idle = {'default'}, {default = true}, {}, {}
local function add(list)
  for _, name in ipairs(list) do
    if not known[name] and #names < most then
      known[name] = true
      names[#names + 1] = name
    end
  end
end
add(call('HKEYS', PAUSED))
add(call('SMEMBERS', QUEUES))
table.sort(names)
local labelled = call('SMEMBERS', LABELLED)
for _, name in ipairs(names) do
  local firsts, waiting = heads(all_lines(name, labelled))
  local oldest = 0
  for _, first in ipairs(firsts) do
    local accepted = tonumber(call('HGET', P .. first, 'accepted') or '')
    if accepted and (oldest == 0 or accepted < oldest) then oldest = accepted end
  end
  local paused = call('HEXISTS', PAUSED, name)
  if waiting == 0 and paused == 0 then idle[#idle + 1] = name end
  rows[#rows + 1] = {name, waiting, string.format('%.0f', oldest), paused}
end
for i = 1, #idle, BATCH do call('SREM', QUEUES, unpack(idle, i, math.min(i + BATCH - 1, #idle))) end
return rows
