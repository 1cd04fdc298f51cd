"""NVIDIA NeMo Data Designer: one text column over a seed table of the prompts, as many requests in parallel as the others."""

from __future__ import annotations

import os
import tempfile

from _timed import CALLS, IN_FLIGHT, PROMPTS, URL, timed

os.environ["NEMO_TELEMETRY_ENABLED"] = "false"
os.environ["BENCH_KEY"] = "none"

import data_designer.config as dd  # noqa: E402
import pandas as pd  # noqa: E402
from data_designer.interface import DataDesigner  # noqa: E402

with tempfile.TemporaryDirectory() as folder:
    provider = dd.ModelProvider(name="bench", endpoint=URL, provider_type="openai", api_key="BENCH_KEY")
    parameters = dd.ChatCompletionInferenceParams(max_tokens=256, max_parallel_requests=IN_FLIGHT)
    model = dd.ModelConfig(alias="fake", model="fake", provider="bench", inference_parameters=parameters, skip_health_check=True)
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"question": PROMPTS})))
    builder.add_column(dd.LLMTextColumnConfig(name="answer", prompt="{{ question }}", model_alias="fake"))
    designer = DataDesigner(artifact_path=folder, model_providers=[provider])
    timed(lambda: int(designer.create(builder, num_records=CALLS, dataset_name="bench").load_dataset()["answer"].notna().sum()))
