from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='SealedAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(max_length=100)),
                ('path', models.CharField(max_length=200)),
                ('idempotency_key', models.CharField(help_text='SHA-256 of it, in hex.', max_length=64)),
                ('fingerprint', models.CharField(help_text='SHA-256 of the body and the query.', max_length=64)),
                ('sealed', models.TextField(default='')),
                ('created_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('identity', 'path', 'idempotency_key'), name='sealed_answer_once')],
            },
        ),
    ]
