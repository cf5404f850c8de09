# The embedded TimeSformer: divided space-time attention, three layers of width 64, patches of 8 pixels.
model = dict(
    type="Recognizer3D",
    backbone=dict(
        type="TimeSformer",
        pretrained=None,
        num_frames=8,
        img_size=64,
        patch_size=8,
        embed_dims=64,
        num_heads=4,
        num_transformer_layers=3,
        in_channels=3,
        dropout_ratio=0.0,
        attention_type="divided_space_time",
        norm_cfg=dict(type="LN", eps=1e-6),
    ),
    cls_head=dict(type="TimeSformerHead", num_classes=8, in_channels=64, average_clips="prob"),
    data_preprocessor=dict(
        type="ActionDataPreprocessor",
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        format_shape="NCTHW",
    ),
    test_cfg=None,
)

train_pipeline = [
    dict(type="DecordInit"),
    dict(type="SampleFrames", clip_len=8, frame_interval=2, num_clips=1),
    dict(type="DecordDecode"),
    dict(type="RandomResizedCrop", area_range=(0.4, 1.0)),
    dict(type="Resize", scale=(64, 64), keep_ratio=False),
    dict(type="Flip", flip_ratio=0.5),
    dict(type="ColorJitter", brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
val_pipeline = [
    dict(type="DecordInit"),
    dict(type="SampleFrames", clip_len=8, frame_interval=2, num_clips=1, test_mode=True),
    dict(type="DecordDecode"),
    dict(type="Resize", scale=(-1, 64)),
    dict(type="CenterCrop", crop_size=64),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
