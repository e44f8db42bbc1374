"""The audit records and findings of Amazon's cloud: two plugins of MozDef."""

from __future__ import annotations

from mozdef_aws.cloudtrail import CloudTrail
from mozdef_aws.guardduty import GuardDuty

__all__ = ["CloudTrail", "GuardDuty"]
