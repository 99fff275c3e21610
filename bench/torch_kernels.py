"""Kernels that torch brings, timed alone, beside those of hf_baseline.py gemm: one product by cuBLAS, causal attention by FlashAttention. One figure a line."""
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def event_ms(f, n):
    for _ in range(5):
        f()
    best = float("inf")
    for _ in range(5):
        a, b = torch.cuda.Event(True), torch.cuda.Event(True)
        a.record()
        for _ in range(n):
            f()
        b.record()
        torch.cuda.synchronize()
        best = min(best, a.elapsed_time(b) / n)
    return best


torch.manual_seed(0)
m, n, k = 2048, 4096, 11008
x, w = torch.randn(m, k, dtype=torch.half, device="cuda"), torch.randn(n, k, dtype=torch.half, device="cuda")
t = event_ms(lambda: F.linear(x, w), 20)
print(f"cublas gemm {m}x{n}x{k}: {t * 1000:.1f} us {2 * m * n * k / t / 1e9:.1f} TFLOP/s")
tokens, heads, size = 4096, 32, 128
q, k, v = (torch.randn(1, heads, tokens, size, dtype=torch.half, device="cuda") for _ in range(3))
with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
    t = event_ms(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), 20)
print(f"sdpa flash causal {tokens}: {t * 1000:.1f} us {4 * heads * size * tokens * (tokens + 1) / 2 / t / 1e9:.1f} TFLOP/s")
