-- Whoever has signed in writes under the address of that mailbox, or one with a +tag, and under that one alone.
-- "sieve" is what Dovecot hands in on loopback (vacation, redirect): see master.cf.
local rspamd_util = require 'rspamd_util'

local STRONGEST = 4 -- above everything that Rspamd itself gives to a result

-- Reads the header itself: what task:get_from answers may have been rewritten by then (tags are taken off).
local function only_address(task)
  local headers = task:get_header_full('From') or {}
  if #headers ~= 1 then return nil end
  local found = rspamd_util.parse_mail_address(headers[1].value, task:get_mempool()) or {}
  if #found ~= 1 or not (found[1].flags or {}).valid then return nil end
  return found[1]
end

local function is_own(user, from)
  local name, domain = (from.user or ''):lower(), (from.domain or ''):lower()
  return (name:match('^([^+]*)') .. '@' .. domain) == user:lower()
end

rspamd_config:register_symbol{
  name = 'HEADER_FROM_NOT_OWNED',
  type = 'prefilter',
  priority = 10,
  -- Also where another filter has already decided. (A test pattern in the text skips every filter, where these are on.)
  flags = 'ignore_passthrough',
  callback = function(task)
    local user = task:get_user()
    if not user then return end
    if user == 'sieve' then
      -- A redirected message is somebody else's: not under our signature.
      if task:get_header('X-Sieve-Redirected-From') then task:disable_symbol('DKIM_SIGNED') end
      return
    end
    local from = only_address(task)
    if from and is_own(user, from) then return end
    local text = 'The From header must be the one address that you signed in with'
    task:set_pre_result('reject', text, 'HEADER_FROM_NOT_OWNED', nil, STRONGEST)
  end,
}
