"""Faster modules take the place of transformers' own, where they answer alike."""

import copy

import pytest
import torch
import transformers

from app.inference import attention, checkpoint, fusing, kernels, randoms

pytestmark = pytest.mark.skipif(kernels.load() is None, reason="there is no C++ compiler")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads that wait for each other are slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _build(architecture, dtype=torch.float32):
    name = architecture.removesuffix("ForCausalLM")
    config = getattr(transformers, f"{name}Config")(**randoms.TINY)
    torch.manual_seed(1)
    return getattr(transformers, architecture)(config).to(dtype).eval()


@pytest.mark.parametrize("architecture", checkpoint.ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_a_fused_model_answers_as_before(architecture, dtype):
    model = _build(architecture, dtype)
    fused = copy.deepcopy(model)
    ids = torch.arange(40)[None]

    fusing.fuse(fused)

    expected, found = (each(ids).logits.float() for each in (model, fused))
    tolerance = (1e-5 if dtype == torch.float32 else 0.05) * float(expected.abs().max())
    assert float((expected - found).abs().max()) <= tolerance


@pytest.mark.parametrize("architecture", checkpoint.ARCHITECTURES)
def test_every_costly_module_is_replaced(architecture):
    model = _build(architecture)

    fusing.fuse(model)

    kinds = {type(module) for module in model.modules()}
    names = {kind.__name__ for kind in kinds}
    assert {fusing.Packed, fusing.Norm, fusing.Gated} <= kinds
    assert not [name for name in names if name.endswith(("RMSNorm", "MLP", "Linear"))]
    assert sum("forward" in vars(module) for module in model.modules()) == 2  # both attentions


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_matrix_can_be_read_by_those_who_multiply_themselves(dtype):
    original = torch.nn.Linear(64, 96, bias=False, dtype=dtype)

    packed = fusing.Packed(original.weight, None)

    assert torch.equal(packed.weight, original.weight)


def test_classes_stay_as_they_are():
    before = transformers.LlamaForCausalLM.forward, torch.nn.Linear.forward
    attending = transformers.models.llama.modeling_llama.LlamaAttention.forward

    fusing.fuse(_build("LlamaForCausalLM"))

    assert before == (transformers.LlamaForCausalLM.forward, torch.nn.Linear.forward)
    assert attending is transformers.models.llama.modeling_llama.LlamaAttention.forward


class OddRMSNorm(torch.nn.Module):  # type: ignore[misc]  # torch is skipped
    """Looks like a norm, and adds one."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(32))
        self.variance_epsilon = 1e-5

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon) + 1


class GatedRMSNorm(OddRMSNorm):
    """Looks like a norm, and wants a gate."""

    def forward(self, *given):
        x, gate = given
        return x * gate


def test_a_module_that_wants_more_is_left_alone():
    model = torch.nn.Sequential(GatedRMSNorm())
    model.dtype, model.device = torch.float32, torch.device("cpu")

    fusing.fuse(model)

    assert type(model[0]) is GatedRMSNorm


def test_a_module_that_answers_otherwise_is_left_alone():
    model = _build("LlamaForCausalLM")
    model.model.norm = OddRMSNorm()

    fusing.fuse(model)

    assert type(model.model.norm) is OddRMSNorm


def test_a_half_precision_model_is_left_alone():
    model = _build("LlamaForCausalLM", torch.float16)

    fusing.fuse(model)

    assert type(model.lm_head) is torch.nn.Linear
    assert attention.Shape.of(model).dtype == torch.float16
