"""A full card speaks in many words: each leads to the second try, and then to a sentence of ours."""

import pytest
import torch

from sd_app.failures import is_out_of_memory
from sd_app.generation.out_of_memory import AGAIN
from tests.memory.steps import TXT2IMG, make, parts

WORDS = [
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "GET was unable to find an engine to execute this computation",
    "Unable to find an engine to execute this computation",
    "CUDA driver error: cudaErrorMemoryAllocation",
    "HIP out of memory. Tried to allocate 20.00 MiB",
    "HIP error: hipErrorOutOfMemory",
    "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "rocBLAS error: rocblas_status_memory_error",
    "MPS backend out of memory (MPS allocated: 8.00 GB)",
    "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to",
    "[enforce fail at CPUAllocator.cpp:76] DefaultCPUAllocator: not enough memory: you tried to",
    "std::bad_alloc",
]
OTHERS = [
    "CUDA error: device-side assert triggered",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: no kernel image is available for execution on the device",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED",
    "expected scalar type Half but found Float",
    "mat1 and mat2 shapes cannot be multiplied",
]


class Failing:
    """A hook that raises an error so many times."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left = error, times

    def __call__(self, *_: object) -> None:
        if self.left:
            self.left -= 1
            raise self.error


@pytest.mark.parametrize("words", WORDS)
def test_a_full_memory_is_known_by_its_words_and_tried_again_frugally(random_studio, words):
    network = parts(random_studio).unet.mid_block
    expected = make(random_studio, TXT2IMG)
    told: list[str] = []
    hook = network.register_forward_pre_hook(Failing(RuntimeError(words), 1))
    images = make(random_studio, TXT2IMG, told)
    hook.remove()
    assert AGAIN in told
    assert len(images) == len(expected)
    hook = network.register_forward_pre_hook(Failing(RuntimeError(words), 2))
    with pytest.raises(MemoryError, match=r"does not fit into the memory of cpu .*lower width or height"):
        make(random_studio, TXT2IMG)
    hook.remove()


def test_torchs_own_errors_and_pythons_need_no_words():
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError())
    assert is_out_of_memory(MemoryError())


def test_an_error_behind_another_counts():
    error = ValueError("it cannot be read")
    error.__cause__ = RuntimeError(WORDS[2])
    assert is_out_of_memory(error)


@pytest.mark.parametrize("words", OTHERS)
def test_other_errors_are_passed_on(random_studio, words):
    assert not is_out_of_memory(RuntimeError(words))
    network = parts(random_studio).unet.mid_block
    hook = network.register_forward_pre_hook(Failing(RuntimeError(words), 1))
    with pytest.raises(RuntimeError, match=words):
        make(random_studio, TXT2IMG)
    hook.remove()
