"""Training in halves says what its products cannot take."""

import pytest
import torch

from tools.demo import compiled, halves, kernels, muon

pytestmark = pytest.mark.skipif(
    not compiled.knows_halves(), reason="this CPU does not multiply halves"
)


def test_odd_sizes_are_refused_where_products_take_two_terms_at_a_time():
    with pytest.raises(AssertionError, match="two terms"):
        muon.orthogonalize(torch.ones(1, 33, 32))
    with pytest.raises(AssertionError, match="two terms"):
        kernels.Loss.apply(torch.ones(64, 32).half(), torch.ones(61, 32), torch.zeros(64).long())


def test_no_threads_are_one():
    before = torch.get_num_threads()
    compiled.use_threads(0)

    made = torch.randn(1, 64, 32, generator=torch.Generator().manual_seed(3))
    halves.orthogonalize(made, muon._STEPS)

    assert torch.linalg.svdvals(made).median() == pytest.approx(1, abs=0.15)
    torch.set_num_threads(before)
