"""How much quicker a step of a full-size U-Net is in bfloat16 than in float32 (on CUDA: float16).

    python tests/benchmarks/bfloat16.py [--side 512] [--rounds 5] [--device cpu]

Stable Diffusion 1.5's U-Net with the same random weights in both formats, a guided step (two samples), in
turns. The outputs are compared: the error is relative to the output's spread.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.turns import make_parser


def main() -> None:
    """Print the medians, the ratio and the error."""
    parser = make_parser(__doc__, rounds=5, full=False)
    parser.add_argument("--side", type=int, default=512)
    options = parser.parse_args()

    import torch
    from diffusers import UNet2DConditionModel

    from sd_app.weights.device_memory import count_bytes, has_native_bf16
    from sd_app.weights.devices import choose_device
    from tests.checkpoint_files import unet_config

    device = choose_device(options.device)
    short = torch.float16 if device.type == "cuda" else torch.bfloat16
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    networks = {}
    for dtype in (torch.float32, short):
        torch.manual_seed(0)
        network = UNet2DConditionModel(**unet_config("sd1", full=True)).eval()
        networks[dtype] = torch.nn.Module.to(network, device, dtype)
    latents = torch.randn(2, 4, options.side // 8, options.side // 8)
    words = torch.randn(2, 77, 768)
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in networks}
    outputs: dict[torch.dtype, torch.Tensor] = {}
    with torch.no_grad():
        for number in range(options.rounds + 1):
            for dtype in list(networks)[:: 1 if number % 2 else -1]:
                given = latents.to(device, dtype), words.to(device, dtype)
                started = time.perf_counter()
                outputs[dtype] = networks[dtype](given[0], 500, given[1])[0].float().cpu()
                if number:
                    seconds[dtype].append(time.perf_counter() - started)
    exact, rounded = outputs[torch.float32], outputs[short]
    error = float((exact - rounded).square().mean().sqrt() / exact.std())
    ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
    print(f"{device}, native bfloat16: {has_native_bf16()}, {threads} threads, {options.side} px")
    for dtype, times in seconds.items():
        size = count_bytes([networks[dtype]]) / 1e9
        print(f"{dtype}: median {statistics.median(times):.3f} s a guided step, {size:.2f} GB of weights")
    print(f"ratio {ratio:.2f} (median of rounds), error {100 * error:.2f} % of the output's spread")


if __name__ == "__main__":
    main()
