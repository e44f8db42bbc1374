"""The codes of Auth0's log: what each means, and how serious it is (mappers.md section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Meaning(NamedTuple):
    """What a code means: the event's name, and its level, a number that counts :data:`LEVELS`."""

    name: str
    level: int


_DEBUG: Final = {
    "cls": "Code/Link Sent",
    "cs": "Code Sent",
    "fv": "Failed Verification Email",
    "scpr": "Success Change Password Request",
    "sv": "Success Verification Email",
    "svr": "Success Verification Email Request",
}
_INFO: Final = {
    "admin_update_launch": "Auth0 Update Launched",
    "con": "Connector Online",
    "depnote": "Deprecation Note",
    "du": "Deleted User",
    "feccft": "Failed Exchange (Client Credentials for Access Token)",
    "gd_auth_succeed": "OTP Auth success",
    "gd_enrollment_complete": "MFA Enrollment Complete",
    "gd_module_switch": "Module switch",
    "gd_recovery_succeed": "Success Authentication using Recovery code",
    "gd_send_pn": "Success Push notification for MFA sent",
    "gd_send_sms": "Success SMS for MFA sent",
    "gd_start_auth": "Second factor authentication event started for MFA",
    "gd_start_enroll": "Multi-factor authentication enroll has started",
    "gd_user_delete": "Deleted multi-factor user account",
    "s": "Success Login",
    "sapi": "Success API Operation",
    "sce": "Success Change Email",
    "scoa": "Success cross-origin authentication",
    "scp": "Success Change Password",
    "scph": "Success Post Change Password Hook",
    "scpn": "Success Change Phone Number",
    "scu": "Success Change Username",
    "sdu": "Success User Deletion",
    "seacft": "Success Exchange (Authorization Code for Access Token)",
    "seccft": "Success Exchange (Client Credentials for Access Token)",
    "seoobft": "Success Exchange (Password and OOB Challenge for Access Token)",
    "seotpft": "Success Exchange (Password and OTP Challenge for Access Token)",
    "sepft": "Success Exchange (Password for Access Token)",
    "sercft": "Success Exchange (Password and MFA Recovery code for Access Token)",
    "sertft": "Success Exchange (Refresh Token for Access Token)",
    "sede": "Successful Exchange (Device Code for Access Token)",
    "sens": "Success Exchange (Native Social Login)",
    "slo": "Success Logout",
    "ss": "Success Signup",
    "ssa": "Success Silent Auth",
    "sui": "Success User Import",
    "sys_os_update_start": "Auth0 OS Update Started",
    "sys_os_update_end": "Auth0 OS Update Ended",
    "sys_update_start": "Auth0 Update Started",
    "sys_update_end": "Auth0 Update Ended",
}
_WARNING: Final = {
    "fdecc": "User Canceled Device Confirmation",
    "gd_unenroll": "Device used for second factor authentication has been unenrolled",
    "gd_update_device_account": "Device used for second factor authentication has been updated",
    "w": "Warnings During Login",
}
_ERROR: Final = {
    "coff": "Connector Offline",
    "f": "Failed Login",
    "fapi": "Failed API Operation",
    "fc": "Failed by Connector",
    "fce": "Failed Change Email",
    "fco": "Failed by CORS",
    "fcoa": "Failed Cross Origin Authentication",
    "fcp": "Failed Change Password",
    "fcph": "Failed Post Change Password Hook",
    "fcpn": "Failed Change Phone Number",
    "fcpr": "Failed Change Password Request",
    "fcu": "Failed Change Username",
    "fd": "Failed Delegation",
    "fdeac": "Failed Device Activation",
    "fdeaz": "Failed Device Authorization Request",
    "fdu": "Failed User Deletion",
    "feacft": "Failed Exchange (Authorization Code for Access Token)",
    "feoobft": "Failed Exchange (Password and OOB Challenge for Access Token)",
    "feotpft": "Failed Exchange (Password and OTP Challenge for Access Token)",
    "fepft": "Failed Exchange (Password for Access Token)",
    "fercft": "Failed Exchange (Password and MFA Recovery code for Access Token)",
    "fertft": "Failed Exchange (Refresh Token for Access Token)",
    "fede": "Failed Exchange (Device Code for Access Token)",
    "fens": "Failed Exchange (Native Social Login)",
    "flo": "Failed Logout",
    "fn": "Failed Sending Notification",
    "fp": "Failed Login (wrong password)",
    "fs": "Failed Signup",
    "fsa": "Failed Silent Auth",
    "fu": "Failed Login (invalid email/username)",
    "fvr": "Failed Verification Email Request",
    "gd_auth_failed": "OTP Auth failed",
    "gd_auth_rejected": "OTP Auth rejected",
    "gd_recovery_failed": "Failed Authentication using Recovery code.",
    "gd_send_sms_failure": "Failed sending SMS for MFA",
    "gd_tenant_update": "Guardian tenant update",
    "limit_mu": "Blocked IP Address",
    "sd": "Success Delegation",
    "ublkdu": "User block setup by anomaly detection has been released",
}
_CRITICAL: Final = {
    "api_limit": "Rate Limit On API",
    "fcpro": "Failed Connector Provisioning",
    "fui": "Failed users import",
    "gd_otp_rate_limit_exceed": "Too many OTP failures",
    "gd_recovery_rate_limit_exceed": "Failed Authentication using Recovery code too many times",
    "limit_delegation": "Rate limit exceeded to /delegation endpoint",
    "limit_ui": "Too Many Calls to /userinfo",
    "limit_wc": "Blocked Account",
    "pwd_leak": "User attempted to login with a leaked password",
}
CODES: Final[Mapping[str, Meaning]] = {
    code: Meaning(name, level)
    for level, names in enumerate((_DEBUG, _INFO, _WARNING, _ERROR, _CRITICAL))
    for code, name in names.items()
}
