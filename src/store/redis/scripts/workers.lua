-- -> what each session reported last.
local reports = {}
for _, id in ipairs(call('SMEMBERS', P .. 'treadle:sessions')) do
  local report = call('GET', session_key(id) .. ':workers')
  if report then reports[#reports + 1] = report end
end
return reports
