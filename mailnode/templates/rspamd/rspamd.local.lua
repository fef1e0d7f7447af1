-- Whoever has signed in writes under the address of that mailbox, or one with a +tag, and under that one alone.
-- "sieve" is what Dovecot hands in on loopback (vacation, redirect): see master.cf.
local function own_address(user, from)
  local name, domain = (from.user or ''):lower(), (from.domain or ''):lower()
  return (name:match('^([^+]*)') .. '@' .. domain) == user:lower()
end

rspamd_config:register_symbol{
  name = 'HEADER_FROM_NOT_OWNED',
  type = 'prefilter',
  priority = 10,
  callback = function(task)
    local user = task:get_user()
    if not user then return end
    if user == 'sieve' then
      -- A redirected message is somebody else's: not under our signature.
      if task:get_header('X-Sieve-Redirected-From') then task:disable_symbol('DKIM_SIGNED') end
      return
    end
    local headers = task:get_header_full('From') or {}
    local from = task:get_from({'mime', 'orig'}) or {}
    if #headers == 1 and #from == 1 and own_address(user, from[1]) then return end
    task:set_pre_result('reject', 'The From header must be the one address that you signed in with')
  end,
}
