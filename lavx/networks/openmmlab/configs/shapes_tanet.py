# The embedded TANet: two stages of one temporal adaptive bottleneck each.
model = dict(
    type="Recognizer2D",
    backbone=dict(
        type="ShallowTANet",
        depth=14,
        pretrained=None,
        num_segments=8,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1,),
        tam_cfg=None,
    ),
    cls_head=dict(
        type="TSMHead",
        num_classes=8,
        in_channels=512,
        spatial_type="avg",
        consensus=dict(type="AvgConsensus", dim=1),
        dropout_ratio=0.2,
        init_std=0.001,
        average_clips="prob",
    ),
    data_preprocessor=dict(
        type="ActionDataPreprocessor",
        mean=[123.675, 116.28, 103.5],
        std=[58.395, 57.12, 57.375],
        format_shape="NCHW",
    ),
    test_cfg=None,
)

train_pipeline = [
    dict(type="DecordInit"),
    dict(type="DenseSampleFrames", clip_len=1, frame_interval=1, num_clips=8, sample_range=16),
    dict(type="DecordDecode"),
    dict(type="RandomResizedCrop", area_range=(0.4, 1.0)),
    dict(type="Resize", scale=(64, 64), keep_ratio=False),
    dict(type="Flip", flip_ratio=0.5),
    dict(type="ColorJitter", brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
    dict(type="FormatShape", input_format="NCHW"),
    dict(type="PackActionInputs"),
]
val_pipeline = [
    dict(type="DecordInit"),
    dict(type="DenseSampleFrames", clip_len=1, frame_interval=1, num_clips=8, sample_range=16, test_mode=True),
    dict(type="DecordDecode"),
    dict(type="Resize", scale=(-1, 64)),
    dict(type="CenterCrop", crop_size=64),
    dict(type="FormatShape", input_format="NCHW"),
    dict(type="PackActionInputs"),
]
