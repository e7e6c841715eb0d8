# frozen_string_literal: true

module FlyingPassenger
  # The daemon's settings, which are removed from the environment.
  Settings = Struct.new(:startup_file, :group, :threads, :preload_bundler) do
    def self.take
      startup_file, group, threads, bundler = %w[STARTUP_FILE GROUP THREADS PRELOAD_BUNDLER].map do |name|
        ENV.delete("FLYING_PASSENGER_#{name}")
      end
      new(startup_file, group, Integer(threads || 1), !bundler.nil?)
    end
  end
end
