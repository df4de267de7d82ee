"""What T5X calls things, so that its users are told our names instead of "unknown"."""

# T5X's configurable, and where it matters its parameter -> what to write here.
_REPLACEMENTS = {
    "T5Config": "ModelConfig with its StackConfig, BlockConfig, AttentionConfig and MLPConfig",
    "T5Config.vocab_size": "ModelConfig.vocab_size",
    "T5Config.dtype": "ComputeConfig.activation_dtype",
    "T5Config.emb_dim": "ModelConfig.embed_dim",
    "T5Config.num_heads": "AttentionConfig.num_heads",
    "T5Config.num_encoder_layers": "encoder/StackConfig.num_layers",
    "T5Config.num_decoder_layers": "decoder/StackConfig.num_layers",
    "T5Config.head_dim": "AttentionConfig.head_dim",
    "T5Config.mlp_dim": "MLPConfig.mlp_dim",
    "T5Config.mlp_activations": "MLPConfig.activations",
    "T5Config.dropout_rate": "ModelConfig.dropout_rate (--gin.DROPOUT_RATE=...)",
    "T5Config.logits_via_embedding": (
        "ModelConfig.logits_via_embedding (and ModelConfig.scale_logits, which T5X ties to it)"
    ),
    "T5Config.remat_policy": "ComputeConfig.remat",
    "T5Config.scan_layers": "not a choice: layers are always stacked (ComputeConfig.scan_unroll)",
    "Transformer": "ModelConfig",
    "EncoderDecoderModel": "ModelConfig",
    "EncoderDecoderModel.optimizer_def": "TrainConfig.optimizer (OPTIMIZER = @AdafactorConfig())",
    "EncoderDecoderModel.z_loss": "LossConfig.z_loss (--gin.Z_LOSS=...)",
    "EncoderDecoderModel.label_smoothing": "LossConfig.label_smoothing (--gin.LABEL_SMOOTHING=...)",
    "EncoderDecoderModel.loss_normalizing_factor": (
        "LossConfig.normalizing_factor (--gin.LOSS_NORMALIZING_FACTOR=...)"
    ),
    "EncoderDecoderModel.input_vocabulary": "DatasetConfig.vocabulary (--gin.VOCABULARY=...)",
    "EncoderDecoderModel.output_vocabulary": "DatasetConfig.vocabulary (--gin.VOCABULARY=...)",
    "predict_batch_with_aux": "DecodingConfig",
    "predict_batch_with_aux.num_decodes": "DecodingConfig.num_decodes (--gin.NUM_DECODES=...)",
    "predict_batch_with_aux.prompt_with_targets": (
        "InferConfig.prompt_with_targets (--gin.PROMPT_WITH_TARGETS=True)"
    ),
    "DecoderOnlyModel": "ModelConfig with encoder = None (gin/models has lm.gin)",
    "PrefixLanguageModel": "ModelConfig with encoder = None (gin/models has prefix_lm.gin)",
    "DatasetConfig": "DatasetConfig",
    "DatasetConfig.use_custom_packing_ops": "not a choice: DatasetConfig.pack chooses packing",
    "SaveCheckpointConfig": "SaveCheckpointConfig",
    "SaveCheckpointConfig.save_dataset": "not a choice: checkpoints hold the positions of the data",
    "RestoreCheckpointConfig": "RestoreCheckpointConfig",
    "RestoreCheckpointConfig.dtype": "not a choice: parameters are float32 while training",
    "RestoreCheckpointConfig.restore_dataset": (
        "RestoreCheckpointConfig.dataset (--gin.RESTORE_DATASET=...)"
    ),
    "RestoreCheckpointConfig.fallback_to_scratch": (
        "not a choice: leave INITIAL_CHECKPOINT_PATH out to start from scratch"
    ),
    "RestoreCheckpointConfig.mode": "not a choice: the path says which checkpoint is meant",
    "CheckpointConfig": "TrainConfig.checkpoints and TrainConfig.restore",
    "CheckpointConfig.save": "TrainConfig.checkpoints = @SaveCheckpointConfig()",
    "CheckpointConfig.restore": "TrainConfig.restore = @RestoreCheckpointConfig()",
    "PjitPartitioner": "PartitioningConfig",
    "PjitPartitioner.num_partitions": (
        "PartitioningConfig.num_partitions (--gin.NUM_PARTITIONS=...)"
    ),
    "PjitPartitioner.model_parallel_submesh": (
        "PartitioningConfig.num_partitions (--gin.NUM_PARTITIONS=...)"
    ),
    "PjitPartitioner.logical_axis_rules": "PartitioningConfig.logical_axis_rules",
    "standard_logical_axis_rules": "a table: PartitioningConfig.logical_axis_rules",
    "Trainer": "TrainConfig",
    "Trainer.num_microbatches": "TrainConfig.num_microbatches (--gin.NUM_MICROBATCHES=...)",
    "Trainer.weight_metrics_computer": (
        "TrainConfig.log_weight_metrics (--gin.LOG_WEIGHT_METRICS=True)"
    ),
    "WeightMetricsComputer": "TrainConfig.log_weight_metrics (--gin.LOG_WEIGHT_METRICS=True)",
    "MultiOptimizer": "ParameterGroup (--gin.PARAMETER_GROUPS='(@head/ParameterGroup(),)')",
    "MultiOptimizer.traversals_and_optimizers": "TrainConfig.parameter_groups",
    "Trainer.learning_rate_fn": "TrainConfig.learning_rate = @ScheduleConfig()",
    "Adafactor": "AdafactorConfig",
    "Adafactor.decay_rate": "AdafactorConfig.decay_rate",
    "Adafactor.step_offset": "AdafactorConfig.step_offset",
    "Adafactor.weight_decay_rate": "AdafactorConfig.weight_decay, times the learning rate",
    "Adafactor.global_norm_clip_norm": (
        "TrainConfig.clip_gradient_norm (--gin.CLIP_GRADIENT_NORM=...)"
    ),
    "adamw": "AdamWConfig",
    "create_learning_rate_scheduler": "ScheduleConfig",
    "create_learning_rate_scheduler.factors": "ScheduleConfig.factors",
    "create_learning_rate_scheduler.base_learning_rate": (
        "ScheduleConfig.base_learning_rate (--gin.LEARNING_RATE=...)"
    ),
    "create_learning_rate_scheduler.warmup_steps": (
        "ScheduleConfig.warmup_steps (--gin.WARMUP_STEPS=...)"
    ),
    "beam_search": "DecodingConfig (--gin_file=decoding/beam4.gin)",
    "beam_search.alpha": "BeamConfig.alpha (--gin_file=decoding/beam4.gin --gin.ALPHA=...)",
    "temperature_sample": "DecodingConfig (--gin_file=decoding/sample.gin)",
    "temperature_sample.temperature": (
        "SampleConfig.temperature (--gin_file=decoding/sample.gin --gin.TEMPERATURE=...)"
    ),
    "temperature_sample.topk": "SampleConfig.top_k (0 keeps all; T5X's 1 is decoding/greedy.gin)",
    "temperature_sample.topp": "SampleConfig.top_p (1 keeps all)",
    "temperature_sample.max_decode_steps": "DecodingConfig.max_decode_length",
    "SentencePieceVocabulary": "a macro: --gin.VOCABULARY=path/to/sentencepiece.model",
    "SentencePieceVocabulary.sentencepiece_model_file": (
        "a macro: --gin.VOCABULARY=path/to/sentencepiece.model"
    ),
    "train": "TrainConfig",
    "train.model_dir": "TrainConfig.model_dir (--gin.MODEL_DIR=...)",
    "train.total_steps": "TrainConfig.train_steps (--gin.TRAIN_STEPS=...)",
    "train.relative_steps": "TrainConfig.train_steps_relative (--gin.TRAIN_STEPS_RELATIVE=...)",
    "train.train_dataset_cfg": "TrainConfig.dataset = @train/DatasetConfig()",
    "train.train_eval_dataset_cfg": "TrainConfig.eval_dataset = @train_eval/DatasetConfig()",
    "train.infer_eval_dataset_cfg": (
        "TrainConfig.infer_eval_dataset = @infer_eval/DatasetConfig() "
        "(--gin.INFER_EVAL_DATASET=None decodes nothing)"
    ),
    "train.eval_period": "TrainConfig.eval_period (--gin.EVAL_PERIOD=...)",
    "train.eval_steps": "TrainConfig.eval_steps (--gin.EVAL_STEPS=...)",
    "train.random_seed": "TrainConfig.random_seed (--gin.RANDOM_SEED=...)",
    "TerminateOnNanAction": "HealthConfig.policy (--gin.ON_INSTABILITY=stop, skip or rollback)",
    "evaluate": "EvalConfig",
    "evaluate.output_dir": "EvalConfig.output_dir (--gin.EVAL_OUTPUT_DIR=...)",
    "infer": "InferConfig",
    "infer.output_dir": "InferConfig.output_dir (--gin.INFER_OUTPUT_DIR=...)",
    "infer.mode": "InferConfig.mode (--gin.MODE=...)",
    "infer.checkpoint_period": "InferConfig.checkpoint_period (--gin.CHECKPOINT_PERIOD=...)",
    "infer.shard_id": "InferConfig.shard_id (--shard_id=...)",
    "infer.num_shards": "InferConfig.num_shards (--gin.NUM_SHARDS=...)",
}


# T5X's macros that nothing here has under the same name -> what to write instead.
_MACROS = {
    "EVALUATOR_NUM_EXAMPLES": "NUM_EXAMPLES, of t5x_lite eval, and INFER_EVAL_EXAMPLES, of train",
    "JSON_WRITE_N_RESULTS": "not a choice: t5x_lite eval writes every prediction",
    "EVALUATOR_USE_MEMORY_CACHE": "not a choice: t5x_lite eval reads each example once",
    "USE_HARDWARE_RNG": "not a choice: noise is a function of RANDOM_SEED and the step",
    "MODEL": "the model's gin file (gin/models) and ModelConfig",
}


def macro_replacement(name: str) -> str | None:
    """What stands here for a macro of T5X."""
    return _MACROS.get(name)


def replacement(selector: str, field: str = "") -> str | None:
    """Our name for T5X's configurable, however qualified, or for one of its parameters."""
    name = selector.rpartition(".")[2]
    return _REPLACEMENTS.get(f"{name}.{field}", _REPLACEMENTS.get(name))
