"""Does a loss keep its promises? Checks that run on any loss function, in any framework, each with a counterexample.

`audit(fn)` makes a `Report` of `Finding`s, for a function of NumPy, PyTorch or JAX or the name of one; `assert_sound(fn)` is for tests.
"""

from matchloss.audit.calling.convention import Convention
from matchloss.audit.finding import CheckResult, Finding
from matchloss.audit.report import Report
from matchloss.audit.running.run import assert_sound, audit
from matchloss.audit.table import CHECKS
from matchloss.names import UnknownName

__all__ = ["CHECKS", "CheckResult", "Convention", "Finding", "Report", "UnknownName", "assert_sound", "audit"]
