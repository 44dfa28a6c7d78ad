"""The last page of a run in TensorBoard: its pictures, and its row among the hyper-parameters."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from vp_jax.records.event_file import EventFile
from vp_jax.records.loggers.base import Conclusion
from vp_jax.records.names import TENSORBOARD

_PLUGIN = "hparams"
_RGB = 3


def write_end(workdir: pathlib.Path, end: Conclusion) -> None:
    """Writes an event file with what a run came to.

    Raises:
      OSError: there is no space for it.
    """
    events = EventFile(workdir / TENSORBOARD)
    try:
        events.add(end.step, end.scores)
        for name, path in end.pictures.items():
            events.add_summary(end.step, picture(name, path))
        for summary in hyper_parameters(end.settings, end.scores):
            events.add_summary(0, summary)
    finally:
        events.close()


def picture(name: str, path: pathlib.Path) -> Any:
    """A PNG file as a summary, byte for byte."""
    from PIL import Image
    from tensorboardX.proto.summary_pb2 import Summary

    with Image.open(path) as image:
        width, height = image.size
    shown = Summary.Image(
        height=height, width=width, colorspace=_RGB, encoded_image_string=path.read_bytes()
    )
    return Summary(value=[Summary.Value(tag=name, image=shown)])


def hyper_parameters(settings: Mapping[str, Any], scores: Iterable[str]) -> list[Any]:
    """Summaries that make a run a row of the page of hyper-parameters.

    Args:
      settings: of the run; numbers, truth values and texts as they are, others as JSON.
      scores: the names of scalars that are shown beside them.
    """
    from tensorboardX.proto.api_pb2 import (
        DataType,
        Experiment,
        HParamInfo,
        MetricInfo,
        MetricName,
        Status,
    )
    from tensorboardX.proto.plugin_hparams_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )

    start, infos = SessionStartInfo(), []
    for name, value in settings.items():
        field, kind = _kind(value)
        text = value if field != "string_value" or isinstance(value, str) else json.dumps(value)
        setattr(start.hparams[name], field, text)
        infos.append(HParamInfo(name=name, type=DataType.Value(kind)))
    metrics = [MetricInfo(name=MetricName(tag=name)) for name in scores]
    whole = Experiment(hparam_infos=infos, metric_infos=metrics)
    end = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"))
    return [
        _summary("experiment", HParamsPluginData(experiment=whole)),
        _summary("session_start_info", HParamsPluginData(session_start_info=start)),
        _summary("session_end_info", HParamsPluginData(session_end_info=end)),
    ]


def _kind(value: Any) -> tuple[str, str]:
    """The field and the type of a hyper-parameter."""
    if isinstance(value, bool):
        return "bool_value", "DATA_TYPE_BOOL"
    if isinstance(value, (int, float)):
        return "number_value", "DATA_TYPE_FLOAT64"
    return "string_value", "DATA_TYPE_STRING"


def _summary(tag: str, content: Any) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    data = SummaryMetadata.PluginData(plugin_name=_PLUGIN, content=content.SerializeToString())
    value = Summary.Value(tag=f"_hparams_/{tag}", metadata=SummaryMetadata(plugin_data=data))
    return Summary(value=[value])
