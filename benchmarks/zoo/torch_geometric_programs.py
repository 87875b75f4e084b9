"""Programs of PyTorch Geometric: convolutions of a small graph, norms, pooling, models and utilities."""

from collections.abc import Iterator
from typing import Any, Final

import torch
import torch_geometric.nn as layers
from torch_geometric import utils
from torch_geometric.data import Batch, Data

from benchmarks.zoo.program import Build, calling, calling_new, evaluating

OF_TWO_SIZES: Final = (
    *("GCNConv", "SAGEConv", "GATConv", "GATv2Conv", "GraphConv", "TAGConv", "SGConv", "ARMAConv", "LEConv"),
    *("TransformerConv", "ClusterGCNConv", "FeaStConv", "GENConv", "MFConv", "SuperGATConv", "FiLMConv"),
    *("ResGatedGraphConv", "HypergraphConv", "GeneralConv"),
)
CONVOLUTIONS: Final[dict[str, tuple[Any, ...]]] = {
    **dict.fromkeys(OF_TWO_SIZES, (4, 3)),
    "ChebConv": (4, 3, 2),
    "APPNP": (2, 0.1),
    "LGConv": (),
    "EGConv": (4, 8),
    "GatedGraphConv": (4, 2),
    "AGNNConv": (),
    "WLConvContinuous": (),
    "AntiSymmetricConv": (4,),
    "GraphUNet": (4, 4, 3, 2),
    **dict.fromkeys(("GIN", "GCN", "GAT", "GraphSAGE"), (4, 4, 2)),
}
NORMS: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(("BatchNorm", "LayerNorm", "GraphNorm", "InstanceNorm"), (4,)),
    "PairNorm": (),
    "MeanSubtractionNorm": (),
    "DiffGroupNorm": (4, 2),
}
OF_EDGES: Final = (
    *("to_dense_adj", "add_self_loops", "remove_self_loops", "to_undirected", "coalesce", "get_laplacian"),
    *("is_undirected", "contains_self_loops", "negative_sampling", "dropout_edge", "sort_edge_index"),
)
EDGES: Final = torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])


def programs() -> Iterator[tuple[str, Build]]:
    torch.manual_seed(0)
    nodes, graphs = torch.randn(5, 4), torch.tensor([0, 0, 1, 1, 1])
    for name, sizes in CONVOLUTIONS.items():
        kind = getattr(layers, name)
        yield name, calling_new(evaluating(lambda kind=kind, sizes=sizes: kind(*sizes)), nodes, EDGES)
    yield "FAConv", calling_new(evaluating(lambda: layers.FAConv(4)), nodes, nodes, EDGES)
    for name in ("global_mean_pool", "global_add_pool", "global_max_pool"):
        yield name, calling(getattr(layers, name), nodes, graphs)
    for name, sizes in NORMS.items():
        kind = getattr(layers, name)
        yield name, calling_new(evaluating(lambda kind=kind, sizes=sizes: kind(*sizes)), nodes)
    for name in OF_EDGES:
        yield name, calling(getattr(utils, name), EDGES)
    yield "degree", calling(utils.degree, EDGES[0])
    yield "softmax", calling(utils.softmax, torch.rand(6), EDGES[1])
    yield "scatter", calling(utils.scatter, torch.randn(6, 2), EDGES[1])
    yield "to_dense_batch", calling(utils.to_dense_batch, nodes, graphs)
    yield "subgraph", calling(utils.subgraph, torch.tensor([0, 1, 2]), EDGES)
    yield "Data", lambda: (_of_data, (Data(x=nodes, edge_index=EDGES),))
    yield "Batch", lambda: (_of_batch, (layers.GCNConv(4, 2), Batch.from_data_list([Data(nodes, EDGES)] * 2)))


def _of_data(data: Any) -> Any:
    return data.x.sum(), data.num_nodes, data.edge_index.shape


def _of_batch(convolution: Any, data: Any) -> Any:
    return layers.global_mean_pool(convolution(data.x, data.edge_index), data.batch)
