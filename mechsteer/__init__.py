"""mechsteer: why does steering a language model work, and why does it fail?

Every public name stands in `__init__.pyi`; each is imported when it is first used, so that help costs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
