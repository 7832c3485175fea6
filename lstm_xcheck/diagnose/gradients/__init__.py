"""Names the mistake behind wrong gradients of right outputs."""

from .remark import remarks_on_gradients as remarks_on_gradients
from .search import diagnose_gradients as diagnose_gradients
