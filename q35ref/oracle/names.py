"""The names of the checks, known without running them."""

from q35ref import contracts, vectors
from q35ref.oracle.laws import law_name
from q35ref.oracle.runner import rules_in_order
from q35ref.oracle.targets import is_reference, resolve


def check_names(target: object) -> list[str]:
    """Return the names of the checks that :func:`q35ref.check` runs on a target, in its order.

    Errors: TargetError.

    >>> check_names("numpy")[:2]
    ['pack.behaves', 'pack.bytes']
    """
    kernel = resolve(target)
    kernel.close()
    if is_reference(kernel):
        laws = [law_name(law.name) for law in contracts.all_contracts()]
        return [*laws, *(f"vectors.{operation}" for operation in vectors.OPERATIONS)]
    return [rule.name for rules in rules_in_order().values() for rule in rules]
