"""The fast network and optimizer of the training agree with those of the libraries."""

import copy

import pytest
import torch
from torch.nn import Parameter, functional
from transformers import GlmForCausalLM

from tools.demo import compiled, kernels, muon, network, train

IDS = torch.randint(5, 60, (3, 11), generator=torch.Generator().manual_seed(1))
SHAPES = {"few": (3, 11), "many": (37, 22), "long": (2, 350), "longer": (1, 530)}


KINDS = [(torch.float16, 1), (torch.float16, 3), (torch.bfloat16, 1), (torch.float32, 1)]


@pytest.fixture(params=KINDS, ids=str, autouse=True)
def number(request, monkeypatch):
    """Each type, whichever this CPU multiplies fastest; halves on several threads, too."""
    dtype, threads = request.param
    if dtype == torch.float16 and not compiled.knows_halves():
        pytest.skip("this CPU does not multiply halves")
    for module in (compiled, kernels):
        monkeypatch.setattr(module, "number", lambda: dtype)
    before = torch.get_num_threads()
    compiled.use_threads(threads)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    """Not as training begins: what the layers add would be zero, and hide every mistake in them."""
    torch.manual_seed(2)
    model = train.build(60, 1, 0)
    for weight in model.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.04)
    return model


def _label(ids: torch.Tensor) -> torch.Tensor:
    labels = ids.clone()
    labels[:, 2:5] = -100  # the first token's answer counts, too: its row also fills up the others
    labels[-1, 9:40] = -100
    return labels


def _plain_loss(model: GlmForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=ids).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradients_are_those_of_the_library(model, shape):
    ids = torch.randint(5, 60, SHAPES[shape], generator=torch.Generator().manual_seed(1))
    labels = _label(ids)
    plain, fast = copy.deepcopy(model), copy.deepcopy(model)
    expected = _plain_loss(plain, ids, labels)
    expected.backward()

    found = network.loss(fast, ids, labels)
    found.backward()

    assert found.item() == pytest.approx(expected.item(), rel=0.01)
    for (name, one), other in zip(fast.named_parameters(), plain.parameters(), strict=True):
        most = 0.1 if name.endswith("k_proj.bias") else 0.05  # what turns no key is nearly nothing
        assert (one.grad - other.grad).norm() < most * other.grad.norm(), name


def test_later_tokens_do_not_change_what_is_learnt_of_earlier_ones(model):
    labels = torch.full_like(IDS, -100)
    labels[:, 3] = IDS[:, 3]
    changed = IDS.clone()
    changed[:, 5:] = 7

    assert network.loss(model, IDS, labels).item() == pytest.approx(
        network.loss(model, changed, labels).item(), rel=1e-3
    )


@pytest.mark.parametrize("shape", [(192, 192), (448, 192), (192, 448)])
def test_orthogonal_matrices_keep_the_directions_of_the_gradient(shape):
    stack = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3))
    left, _, right = torch.linalg.svd(stack, full_matrices=False)

    made = muon.orthogonalize(stack).float()

    sizes = torch.linalg.svdvals(made)
    assert sizes.median() == pytest.approx(1, abs=0.15)
    assert functional.cosine_similarity(made.flatten(), (left @ right).flatten(), dim=0) > 0.9


def test_a_step_goes_where_the_library_goes():
    start = torch.randn(8, 48, 64, generator=torch.Generator().manual_seed(4))
    grads = torch.randn(8, 48, 64, generator=torch.Generator().manual_seed(5))
    ours, theirs = ([Parameter(each.clone()) for each in start] for _ in range(2))
    options = {"weight_decay": 0.01, "momentum": 0.95, "adjust_lr_fn": "match_rms_adamw"}
    for own, parameters in (
        (muon.Muon(ours, 0.01), ours),
        (torch.optim.Muon(theirs, 0.01, **options), theirs),
    ):
        for turn in range(8):
            for parameter, grad in zip(parameters, grads.roll(turn, 0), strict=True):
                parameter.grad = grad.clone()
            own.step()

    moved, expected = (torch.stack([p.detach() for p in each]) - start for each in (ours, theirs))
    assert functional.cosine_similarity(moved.flatten(), expected.flatten(), dim=0) > 0.9
    assert moved.norm() == pytest.approx(expected.norm(), rel=0.25)
