"""What a full memory says, in the words of each library that runs into one."""

# In lower case. CUDA's libraries take memory of their own when they are first used, and say in their own
# words that there is none; cuDNN tries its engines, and where none gets its workspace it has found none.
FULL = (
    "out of memory",  # torch's allocators on CUDA, HIP and MPS, the drivers, Linux
    "erroroutofmemory",  # hipErrorOutOfMemory
    "errormemoryallocation",  # cudaErrorMemoryAllocation
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate",
    "bad_alloc",
    "status_alloc_failed",  # CUBLAS_, CUDNN_, CUSOLVER_, HIPBLAS_
    "status_not_initialized",  # the same libraries: what they begin with needs memory
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "status_memory_error",  # rocBLAS
    "unable to find an engine",  # cuDNN, through torch
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell a full memory, also one behind an error, from others; only the words do for most libraries."""
    if error is None:
        return False
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's
    if known or any(word in str(error).lower() for word in FULL):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)
