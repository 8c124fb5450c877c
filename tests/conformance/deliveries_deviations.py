from tests.conformance.harness import Deviation

DEVIATIONS: tuple[Deviation, ...] = ()
