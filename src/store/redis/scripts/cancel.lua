-- id, reason -> answer (cancelled, requested, terminal, was-cancelled, missing), ended, session and token of a claimed one, counts.
-- was-cancelled: it had ended so before, perhaps by this very call, whose answer was lost.
local id, reason = ARGV[A], ARGV[A + 1]
local key = P .. id
local f = call('HMGET', key, 'task_status', 'token', 'session', 'cancel_requested', 'group', 'idempotency', 'args_bytes',
  'error_kind', 'accepted', 'limit_key', 'keep_ms')
local function cancel()
  if not f[1] then return 'missing' end
  if is_terminal(f[1]) then return f[8] == 'Cancelled' and 'was-cancelled' or 'terminal' end
  if f[1] == 'QUEUED' and (not f[2] or f[2] == '') then
    if f[9] then no_longer_queued({args_bytes = f[7]}) end
    call('ZREM', DELAYED, id)
    end_by_us(id, {group = f[5], idempotency = f[6], keep_ms = f[11]}, 'Cancelled', '', reason)
    wake_parked(f[10])
    return 'cancelled'
  end
  if not f[4] then
    call('HSET', key, 'cancel_requested', '1', 'cancel_reason', reason)
    if f[3] and f[3] ~= '' then call('RPUSH', session_key(f[3]) .. ':revoke', id .. ' ' .. f[2]) end
  end
  if f[3] and f[3] ~= '' then call('PUBLISH', 'treadle:ctl', f[3] .. ' ' .. id .. ' ' .. f[2]) end
  return 'requested'
end
local answer = cancel()
settle()
return {answer, ended, f[3] or '', f[2] or '', counts()}
